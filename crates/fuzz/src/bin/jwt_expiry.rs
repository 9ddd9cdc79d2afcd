//! libFuzzer on [`acr_fuzz::jwt_expiry`].

#![cfg_attr(fuzzing, no_main)]

acr_fuzz::program!(jwt_expiry);
