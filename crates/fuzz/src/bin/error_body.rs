//! libFuzzer on [`acr_fuzz::error_body`].

#![cfg_attr(fuzzing, no_main)]

acr_fuzz::program!(error_body);
