//! SFTP, decoded in passing: whatever a client and a device say, the recording goes on.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    sekimori_fuzz::record(input, async |recording, channel| recording.sftp(channel).await);
});
