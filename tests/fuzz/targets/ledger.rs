//! Ledger files: CSV of office software, in either encoding. The first byte says which; what is read can be written.
#![no_main]

use sekimori_audit::ledger::{Encoding, import};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((first, file)) = input.split_first() else { return };
    let encoding = match first % 3 {
        0 => Encoding::Utf8,
        1 => Encoding::Cp932,
        _ => Encoding::detect(file),
    };
    match import(file, encoding) {
        Ok(entries) => assert!(entries.iter().all(|entry| !entry.declared.control_number.trim().is_empty())),
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a word");
            assert!(faults.iter().all(|fault| !fault.to_string().is_empty()));
        }
    }
});
