//! The historic scp, read in passing, in both directions. The first byte says which command it is.
#![no_main]

const COMMANDS: [&str; 4] = ["scp -t /var/up", "scp -f /var/down", "scp -r -p -t -- up/", "scp -rf down"];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let command = COMMANDS[usize::from(*first) % COMMANDS.len()];
    sekimori_fuzz::record(rest, async |recording, channel| recording.stream(channel, command.to_owned()).await);
});
