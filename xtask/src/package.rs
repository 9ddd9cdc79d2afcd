//! Packages every publishable crate and builds each package by itself, as crates.io users will get it.

use serde_json::Value;

use crate::cargo::Steps;
use crate::tidy;

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    let metadata = tidy::metadata(steps.root())?;
    // All in one call: cargo then takes the crates that are not yet on crates.io from each other's packages.
    let mut arguments = vec!["package", "--workspace", "--allow-dirty"];
    for name in unpublished(&metadata) {
        arguments.extend(["--exclude", name]);
    }
    steps.cargo(&arguments)
}

/// Names of the members that say `publish = false`.
fn unpublished(metadata: &Value) -> Vec<&str> {
    tidy::packages(metadata)
        .filter(|package| !tidy::is_published(package))
        .filter_map(|package| package["name"].as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_members_with_publish_false_stay_out() {
        let metadata = json!({"packages": [
            {"name": "a", "publish": null},
            {"name": "b", "publish": []},
            {"name": "c", "publish": ["crates-io"]},
        ]});
        assert_eq!(unpublished(&metadata), ["b"]);
    }
}
