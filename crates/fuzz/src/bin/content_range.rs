//! libFuzzer on [`acr_fuzz::content_range`].

#![cfg_attr(fuzzing, no_main)]

acr_fuzz::program!(content_range);
