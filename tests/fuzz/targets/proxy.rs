//! The PROXY protocol, from the bytes of a proxy that is trusted and may be wrong.
#![no_main]

#[path = "../../../gateway/src/ssh/proxy_protocol.rs"]
mod proxy_protocol;

use futures_util::FutureExt;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    // Bytes in memory never let a reader wait.
    let read = proxy_protocol::read(&mut rest).now_or_never().expect("it waits for nothing");
    let taken = input.len() - rest.len();
    if read.is_ok() {
        // The banner that follows is not touched, whatever it is.
        let mut exact = &input[..taken];
        assert!(proxy_protocol::read(&mut exact).now_or_never().expect("it waits for nothing").is_ok());
        assert!(exact.is_empty());
    }
});
