//! libFuzzer on [`acr_fuzz::location`].

#![cfg_attr(fuzzing, no_main)]

acr_fuzz::program!(location);
