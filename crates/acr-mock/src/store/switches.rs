use acr_protocol::{Attributes, ChangeableAttributes};

/// The switches of a repository, a tag or a manifest: two words, unless a snapshot has members beyond the four.
#[derive(Clone, Debug)]
pub(crate) struct Switches(Form);

#[derive(Clone, Debug)]
enum Form {
    /// All four, and nothing else.
    Plain(ChangeableAttributes),
    Recorded(Box<Attributes>),
}

impl Switches {
    /// All four on: what everything is born with.
    pub(crate) fn enabled() -> Self {
        Attributes::enabled().into()
    }

    pub(crate) fn can_delete(&self) -> bool {
        self.switch(|plain| plain.can_delete, Attributes::can_delete)
    }

    pub(crate) fn can_write(&self) -> bool {
        self.switch(|plain| plain.can_write, Attributes::can_write)
    }

    pub(crate) fn can_read(&self) -> bool {
        self.switch(|plain| plain.can_read, Attributes::can_read)
    }

    pub(crate) fn can_list(&self) -> bool {
        self.switch(|plain| plain.can_list, Attributes::can_list)
    }

    /// Whether overwriting or deleting is switched off.
    pub(crate) fn is_locked(&self) -> bool {
        !self.can_delete() || !self.can_write()
    }

    /// Whether all four are on, and there is nothing else.
    pub(crate) fn are_all_on(&self) -> bool {
        let all_on = ChangeableAttributes::UNLOCKED.can_read(true).can_list(true);
        matches!(&self.0, Form::Plain(switches) if *switches == all_on)
    }

    /// Applies a change: a switch that it leaves out stays as it is.
    pub(crate) fn apply(&mut self, change: &ChangeableAttributes) {
        let mut attributes = self.to_attributes();
        attributes.apply(change);
        *self = attributes.into();
    }

    /// The switches as the wire has them.
    pub(crate) fn to_attributes(&self) -> Attributes {
        match &self.0 {
            Form::Plain(switches) => Attributes::from(*switches),
            Form::Recorded(attributes) => Attributes::clone(attributes),
        }
    }

    fn switch(
        &self,
        plain: impl Fn(&ChangeableAttributes) -> Option<bool>,
        recorded: impl Fn(&Attributes) -> bool,
    ) -> bool {
        match &self.0 {
            Form::Plain(switches) => plain(switches).unwrap_or(true),
            Form::Recorded(attributes) => recorded(attributes),
        }
    }
}

impl From<Attributes> for Switches {
    fn from(attributes: Attributes) -> Self {
        let switches = ChangeableAttributes::from(&attributes);
        // The four are all there in the switches, so what has fewer, or more, is kept as it is.
        Self(if Attributes::from(switches) == attributes {
            Form::Plain(switches)
        } else {
            Form::Recorded(Box::new(attributes))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_come_back_as_they_were_recorded() {
        for text in [
            r#"{"deleteEnabled":true,"writeEnabled":false,"readEnabled":true,"listEnabled":true}"#,
            r#"{"writeEnabled":false}"#,
            r#"{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true,"quarantineState":"Passed"}"#,
        ] {
            let attributes: Attributes = serde_json::from_str(text).unwrap();
            let mut switches = Switches::from(attributes.clone());
            assert_eq!(switches.to_attributes(), attributes, "{text}");
            assert_eq!(switches.is_locked(), attributes.is_locked(), "{text}");
            switches.apply(&ChangeableAttributes::LOCKED);
            assert!(switches.is_locked() && switches.can_read() && switches.can_list());
            assert_eq!(switches.to_attributes().extra, attributes.extra, "{text}");
        }
    }
}
