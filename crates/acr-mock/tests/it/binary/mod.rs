//! The contract of the binary: what it prints, what it leaves behind, and how it ends.

#![cfg(feature = "cli")]

mod ending;
mod ready;
mod run;
mod serving;
mod support;
mod usage;
