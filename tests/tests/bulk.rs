//! Much data: both ways at once across key exchanges, and towards a person whose line is slow, in bounded memory.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, Running, sha256, sha256_of_output};
use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// Two cores that are shared take their time.
const LIMIT: Duration = Duration::from_secs(180);

const MEBIBYTES: u64 = 192;

/// What the gateway may hold for one channel, on its way: queues and windows of both directions, and two disks' worth
/// of writes under way. Kept bytes would be many times as much.
const HELD_KIB: u64 = 48 << 10;

/// The client asks for new keys after each 16 MiB. `make soak` ends with 4 GiB, across the gateway's own exchanges.
#[test]
fn full_duplex_bulk_goes_across_many_key_exchanges() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let file = hospital.bulk_file("bulk", MEBIBYTES)?;
    let sum = sha256(&file)?;
    let before = hospital.gateway.resident_kib()?;
    hospital.gateway.forget_peak()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    ssh.args(["-o", "RekeyLimit=16M", "-T", "gate", "cat"]);
    let echoed = sha256_of_output(&mut ssh, Input::File(File::open(&file)?), LIMIT)?;
    ensure!(echoed == sum, "other bytes came back than were sent");
    let peak = hospital.gateway.peak_kib()?;
    ensure!(peak < before + HELD_KIB, "the gateway held {} KiB for it", peak - before);

    let session = hospital.closed_session()?;
    ensure!(sha256(&hospital.member(&session, ".stdin")?)? == sum, "the record is not what the person sent");
    ensure!(sha256(&hospital.member(&session, ".stdout")?)? == sum, "the record is not what the person got");
    Ok(())
}

#[test]
fn a_slow_person_gets_everything_and_is_not_waited_for_in_memory() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let file = hospital.bulk_file("bulk", 96)?;
    let before = hospital.gateway.resident_kib()?;
    hospital.gateway.forget_peak()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    ssh.args(["-T", "gate", &format!("cat {}", file.display())]);
    let mut child = ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut stdout = child.stdout.take().context("no standard output")?;
    let mut ssh = Running::new(child);
    let mut slow = Slow::new(12);
    let got = slow.read_to_end(&mut stdout)?;
    ensure!(ssh.end_within(LIMIT)?.success());
    let sent = std::fs::read(&file)?;
    ensure!(got == sent, "{} bytes came, other than the {} that were sent", got.len(), sent.len());
    let peak = hospital.gateway.peak_kib()?;
    ensure!(peak < before + HELD_KIB, "the gateway held {} KiB of them", peak - before);
    Ok(())
}

#[test]
fn an_interrupt_comes_through_although_the_person_reads_slowly() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    // A terminal on the device, and a pipe here, so that reading can be slow.
    ssh.args(["-tt", "gate", "trap : INT; yes 0123456789abcdef; echo STO''PPED; exit 5"]);
    let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (mut stdin, mut stdout) = stdin.zip(stdout).context("no pipes")?;
    let mut ssh = Running::new(child);
    let mut slow = Slow::new(5);
    slow.read(&mut stdout, 15 << 20)?;
    stdin.write_all(b"\x03")?;
    let begin = Instant::now();
    let rest = slow.read_to_end(&mut stdout)?;
    // What was under way still comes; it is no more than windows and queues hold.
    ensure!(rest.len() < 24 << 20, "{} MiB came after the interrupt", rest.len() >> 20);
    ensure!(rest.windows(7).any(|seen| seen == b"STOPPED"), "the end is missing");
    ensure!(ssh.end_within(LIMIT)?.code() == Some(5));
    println!("{} KiB came in {:?} after the interrupt", rest.len() >> 10, begin.elapsed());
    Ok(())
}

/// A reader held at so many MiB a second.
struct Slow {
    mebibytes: u32,
}

impl Slow {
    const CHUNK: usize = 64 << 10;

    fn new(mebibytes: u32) -> Self {
        Self { mebibytes }
    }

    fn read(&mut self, from: &mut impl Read, at_least: usize) -> Result<Vec<u8>> {
        let mut got = Vec::new();
        let mut buffer = vec![0; Self::CHUNK];
        while got.len() < at_least {
            let count = from.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            got.extend_from_slice(buffer.get(..count).unwrap_or_default());
            let pause = Duration::from_secs_f64(f64::from(u32::try_from(count)?) / f64::from(self.mebibytes << 20));
            thread::sleep(pause);
        }
        Ok(got)
    }

    fn read_to_end(&mut self, from: &mut impl Read) -> Result<Vec<u8>> {
        self.read(from, usize::MAX)
    }
}
