//! The examples run.

#[path = "../../examples/faults.rs"]
mod faults;
#[path = "../../examples/in_process.rs"]
mod in_process;

#[test]
fn the_examples_run() {
    in_process::main().unwrap();
    faults::main().unwrap();
}
