//! Which crates' types the public API of a published crate may name, checked on rustdoc's JSON by
//! cargo-check-external-types: a breaking change of any other dependency is then none of ours. The crate's manifest has
//! the list, in `package.metadata.cargo_check_external_types`.

use crate::cargo::{self, Call, Steps};
use crate::tools::EXTERNAL_TYPES;
use crate::workspace;

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    if !steps.can(&EXTERNAL_TYPES) {
        return Ok(());
    }
    for member in workspace::published(steps.root())? {
        let manifest = member.manifest_path.display().to_string();
        let arguments = [
            "check-external-types",
            "--all-features",
            "--manifest-path",
            &manifest,
        ];
        let call = Call::of(&cargo::nightly(), steps.root());
        let call = call.with(&[("CARGO_NET_OFFLINE", "true")], &arguments);
        let (is_clean, said) = steps.hear(call)?;
        if is_unreadable(&said) {
            return steps.unfit(&EXTERNAL_TYPES, unreadable());
        }
        if !is_clean {
            return Err(format!(
                "{said}\nexternal types: {manifest} lists those that the API may name"
            ));
        }
    }
    Ok(())
}

/// Whether the tool does not know the form of this nightly's JSON.
fn is_unreadable(said: &str) -> bool {
    said.contains("produces JSON format version") || said.contains("Failed to parse rustdoc output")
}

fn unreadable() -> String {
    format!(
        "it does not read the rustdoc JSON of the toolchain `{nightly}`: update the older of the two, or choose the \
         nightly that the tool's README names, by XTASK_NIGHTLY=nightly-<date>",
        nightly = cargo::nightly(),
    )
}
