//! libFuzzer on [`acr_fuzz::docker_config`].

#![cfg_attr(fuzzing, no_main)]

acr_fuzz::program!(docker_config);
