//! libFuzzer on [`acr_fuzz::link`].

#![cfg_attr(fuzzing, no_main)]

acr_fuzz::program!(link);
