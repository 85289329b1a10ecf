//! The configuration file: refused with its fault, or usable.
#![no_main]

#[expect(dead_code, reason = "the gateway uses the rest")]
#[path = "../../../gateway/src/config.rs"]
mod config;

use config::Config;

libfuzzer_sys::fuzz_target!(|text: &str| {
    match Config::parse(text, "/etc/sekimori".into()) {
        Ok(config) => {
            assert!(config.database().is_ok() && !config.ssh.listen.is_empty());
            assert!((1..=12).contains(&config.ssh.sign_in_hours) && config.ssh.max_channels > 0);
            let _ =
                (config.data_dir(), config.recordings_dir(), config.master_key(), config.user_ca(), config.host_ca());
        }
        Err(fault) => assert!(!fault.is_empty(), "refused without a word"),
    }
});
