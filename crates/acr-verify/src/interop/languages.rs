//! `acr-mock run` around programs that know nothing of it: each signs in with the `DefaultAzureCredential` of its language
//! and lists the repositories, with nothing set by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::python::environment_with;
use super::{mock, output_of};
use crate::Ending;

/// A language, with what installs its packages and what runs the program.
struct Language {
    name: &'static str,
    /// The folder of its sources.
    folder: &'static str,
    /// Makes the program in the folder that it is given, and says how it is run.
    make: fn(&Path) -> Result<Command, Ending>,
}

const LANGUAGES: [Language; 4] = [
    Language {
        name: "Python",
        folder: "python",
        make: python,
    },
    Language {
        name: "JavaScript",
        folder: "js",
        make: javascript,
    },
    Language {
        name: "Go",
        folder: "go",
        make: go,
    },
    Language {
        name: "Java",
        folder: "java",
        make: java,
    },
];

/// Runs the program of each language and prints how it went. What the packages need is kept in the target folder.
///
/// # Errors
///
/// Skipped where nothing may be installed, or where no language can be; failed if one of them failed.
pub fn run(installs: bool) -> Result<(), Ending> {
    if !installs {
        let reason = "the programs need packages of PyPI, npm, Go and Maven Central; say --install";
        return Err(Ending::skipped(reason));
    }
    let binary = mock::build()?;
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for language in &LANGUAGES {
        let name = language.name;
        let folder = copied(language.folder)?;
        let program = match (language.make)(&folder) {
            Ok(program) => program,
            Err(Ending::Skipped(reason)) => {
                skipped += 1;
                println!("{name}: skipped: {reason}");
                continue;
            }
            Err(Ending::Failed(failure)) => {
                failed += 1;
                println!("{name}: failed: it cannot be built: {failure}");
                continue;
            }
            Err(ending @ Ending::BadUsage) => return Err(ending),
        };
        let mut run = Command::new(&binary);
        run.args(["run", "--"])
            .arg(program.get_program())
            .args(program.get_args());
        match output_of(&mut run) {
            Ok(output) if output.trim() == "[]" => {
                passed += 1;
                println!("{name}: passed");
            }
            Ok(output) => {
                failed += 1;
                println!("{name}: failed: it printed {output:?}");
            }
            Err(reason) => {
                failed += 1;
                println!("{name}: failed: {reason}");
            }
        }
    }
    println!("run: {passed} passed, {failed} failed, {skipped} skipped");
    match (passed, failed) {
        (0, 0) => Err(Ending::skipped(
            "the packages of no language could be installed",
        )),
        (_, 0) => Ok(()),
        _ => Err("a program failed beside the mock".into()),
    }
}

/// A copy of a language's sources in the target folder, so that what is installed stays out of the sources.
fn copied(name: &str) -> Result<PathBuf, Ending> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = own.join("../../target/interop/languages").join(name);
    copy(&own.join("languages").join(name), &target)?;
    Ok(target.canonicalize()?)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

fn python(folder: &Path) -> Result<Command, Ending> {
    let requirements = folder.join("requirements.txt");
    let python = environment_with(folder, &["-r", &requirements.to_string_lossy()])?;
    let mut program = Command::new(python);
    program.arg("-B").arg(folder.join("list.py"));
    Ok(program)
}

fn javascript(folder: &Path) -> Result<Command, Ending> {
    let mut npm = Command::new("npm");
    install(npm.args(["ci", "--no-audit", "--no-fund"]), folder)?;
    let mut program = Command::new("node");
    program.arg(folder.join("list.js"));
    Ok(program)
}

fn go(folder: &Path) -> Result<Command, Ending> {
    install(Command::new("go").args(["mod", "download"]), folder)?;
    let binary = folder.join("list");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&binary).arg(".");
    output_of(go.current_dir(folder))?;
    Ok(Command::new(binary))
}

fn java(folder: &Path) -> Result<Command, Ending> {
    let libraries = folder.join("target/libraries");
    let output = format!("-DoutputDirectory={}", libraries.display());
    let maven = |goal: &str| {
        let mut maven = Command::new("mvn");
        maven.args(["--batch-mode", "--quiet", goal]);
        maven
    };
    let mut dependencies = maven("dependency:copy-dependencies");
    install(dependencies.arg(output), folder)?;
    output_of(maven("compile").current_dir(folder))?;
    let mut program = Command::new("java");
    let classes = folder.join("target/classes");
    program
        .arg("-cp")
        .arg(format!("{}:{}/*", classes.display(), libraries.display()));
    program.arg("List");
    Ok(program)
}

/// Fetches packages. Where that fails, the tool or the network is missing, and not the mock's fault.
fn install(command: &mut Command, folder: &Path) -> Result<(), Ending> {
    let installed = output_of(command.current_dir(folder));
    installed.map(drop).map_err(Ending::skipped)
}
