//! The figures, the goals that they are held to, and the line that says both.

use std::fmt;

use crate::bench::goal::Goal;

/// What the mock costs. A figure that could not be measured here is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Its rate of manifests by tag, as a share of the bare server's.
    pub of_bare: Option<f64>,
    /// The same while it writes a line of its log for each request.
    pub with_log: Option<f64>,
    /// Its CPU time a request, over the bare server's.
    pub cpu: Option<f64>,
    /// Its rate over that of docker-registry.
    pub docker_registry: Option<f64>,
    /// Its rate of pages of 100 tags, as a share of the bare server's.
    pub page_of_bare: Option<f64>,
    /// CPU time of a manifest by tag in process, in microseconds.
    pub in_process: Option<f64>,
    /// CPU time of a page of 100 tags in process, in microseconds.
    pub page: Option<f64>,
    /// Memory of a tag, in bytes.
    pub tag: Option<f64>,
    /// Memory of a repository with one image, in bytes.
    pub repository: Option<f64>,
    /// Memory of a referrer with its manifest, in bytes.
    pub referrer: Option<f64>,
    /// What a large operation adds to the longest wait of others, in milliseconds.
    pub wait: Option<f64>,
}

impl Figures {
    /// The goals that are missed by more than a tenth, each in a sentence. What was not measured is not judged.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let goals = [
            ("of bare", self.of_bare, Goal::AtLeast(0.70)),
            ("of bare with log", self.with_log, Goal::AtLeast(0.55)),
            ("CPU of bare", self.cpu, Goal::AtMost(1.4)),
            (
                "of docker-registry",
                self.docker_registry,
                Goal::AtLeast(25.0),
            ),
            ("a page, of bare", self.page_of_bare, Goal::AtLeast(0.5)),
            ("us in process", self.in_process, Goal::AtMost(3.0)),
            ("us a page in process", self.page, Goal::AtMost(30.0)),
            ("B a tag", self.tag, Goal::AtMost(300.0)),
            ("B a repository", self.repository, Goal::AtMost(3_000.0)),
            ("B a referrer", self.referrer, Goal::AtMost(1_000.0)),
            ("ms longest wait", self.wait, Goal::AtMost(20.0)),
        ];
        let missed = goals
            .into_iter()
            .filter_map(|(name, figure, goal)| goal.missed(name, figure?));
        missed.collect()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |figure: Option<f64>, digits: usize| match figure {
            Some(figure) => format!("{figure:.digits$}"),
            None => "-".to_owned(),
        };
        write!(
            f,
            "mock: {} of bare ({} with log), CPU {}x, {}x docker-registry, in process {} us, page {} us, \
             {} B a tag, longest wait {} ms",
            text(self.of_bare, 2),
            text(self.with_log, 2),
            text(self.cpu, 2),
            text(self.docker_registry, 0),
            text(self.in_process, 1),
            text(self.page, 0),
            text(self.tag, 0),
            text(self.wait, 0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Figures {
        Figures {
            of_bare: Some(0.7),
            with_log: Some(0.55),
            cpu: Some(1.4),
            docker_registry: Some(25.0),
            page_of_bare: Some(0.5),
            in_process: Some(3.0),
            page: Some(30.0),
            tag: Some(300.0),
            repository: Some(3_000.0),
            referrer: Some(1_000.0),
            wait: Some(20.0),
        }
    }

    #[test]
    fn the_last_line_has_its_form_whatever_is_missing() {
        assert_eq!(
            good().to_string(),
            "mock: 0.70 of bare (0.55 with log), CPU 1.40x, 25x docker-registry, in process 3.0 us, page 30 us, \
             300 B a tag, longest wait 20 ms"
        );
        assert_eq!(
            Figures::default().to_string(),
            "mock: - of bare (- with log), CPU -x, -x docker-registry, in process - us, page - us, \
             - B a tag, longest wait - ms"
        );
    }

    #[test]
    fn a_goal_is_missed_by_more_than_a_tenth_and_what_is_missing_is_not_judged() {
        assert_eq!(good().missed(), [""; 0]);
        assert_eq!(Figures::default().missed(), [""; 0]);
        let near = Figures {
            of_bare: Some(0.64),
            in_process: Some(3.2),
            ..good()
        };
        assert_eq!(near.missed(), [""; 0]);
        let far = Figures {
            of_bare: Some(0.62),
            wait: Some(23.0),
            ..good()
        };
        assert_eq!(
            far.missed(),
            [
                "0.62 of bare, where 0.7 is the least",
                "23.00 ms longest wait, where 20 is the most"
            ]
        );
    }
}
