//! libFuzzer on [`acr_fuzz::retry_after`].

#![cfg_attr(fuzzing, no_main)]

acr_fuzz::program!(retry_after);
