//! libFuzzer on [`acr_fuzz::challenge`].

#![cfg_attr(fuzzing, no_main)]

acr_fuzz::program!(challenge);
