//! What the running gateway can no longer do, seen from outside: files that are not its own stay closed to it.
//!
//! On a kernel without Landlock these tests fail: a sandbox that nobody tried is none.

use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use rustix::process::Signal;
use sekimori_tests::{DEVICE, Database, Gateway, Hospital, Input, PATIENCE, Postgres, at, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

#[test]
fn no_thread_gains_privileges_and_nothing_is_dumped() -> Result<()> {
    let gateway = Gateway::start(None)?;
    let process = format!("/proc/{}", gateway.id());
    let limits = fs::read_to_string(format!("{process}/limits"))?;
    let cores = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).context("no such limit")?;
    ensure!(cores.split_whitespace().take(2).eq(["0", "0"]), "{cores}");
    let mut threads = 0;
    for task in fs::read_dir(format!("{process}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        ensure!(status.contains("NoNewPrivs:\t1\n"), "{status}");
        threads += 1;
    }
    ensure!(threads > 1, "the gateway has one thread: nothing was looked at");
    // Who may dump it may read it as well: only root can, whoever it runs as.
    let maps = fs::metadata(format!("{process}/maps"))?;
    ensure!(std::os::unix::fs::MetadataExt::uid(&maps) == 0, "others may look into its memory");
    Ok(())
}

#[test]
fn a_link_in_the_recordings_that_leads_outside_is_no_way_out() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let outside = tempfile::tempdir()?;
    let recordings = hospital.gateway.demo.data_dir.join("recordings");
    // The day may end while this runs.
    let days =
        [Utc::now(), Utc::now() + TimeDelta::days(1)].map(|day| recordings.join(day.format("%Y/%m/%d").to_string()));
    for day in &days {
        fs::create_dir_all(day.parent().context("a day lies in a month")?)?;
        symlink(outside.path(), day)?;
    }
    let refused = hospital.exec(&certificate, "echo through", Input::Nothing)?;
    ensure!(refused.code != Some(0) && !refused.text().contains("through"), "{refused:?}");
    ensure!(fs::read_dir(outside.path())?.next().is_none(), "the gateway wrote outside of its folders");
    let said = hospital.gateway.log.wait_for("Permission denied", PATIENCE)?;
    ensure!(said.contains(&recordings.display().to_string()), "the log does not say where: {said}");

    for day in &days {
        fs::remove_file(day)?;
    }
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("without the links")?;
    Ok(())
}

#[test]
fn a_reload_finds_a_new_file_in_the_old_folder_and_none_elsewhere() -> Result<()> {
    let gateway = Gateway::start(None)?;
    let config = &gateway.demo.config;
    let text = fs::read_to_string(config)?;
    let outside = tempfile::tempdir()?;
    fs::write(outside.path().join("elsewhere.toml"), &text)?;
    fs::rename(config, config.with_extension("old"))?;
    symlink(outside.path().join("elsewhere.toml"), config)?;
    gateway.signal(Signal::HUP)?;
    gateway.log.wait_for("the sandbox opens the folder in which it lay", PATIENCE)?;

    // As editors and configuration management do it: another file takes its place.
    let fresh = config.with_extension("new");
    fs::write(&fresh, &text)?;
    fs::rename(&fresh, config)?;
    gateway.signal(Signal::HUP)?;
    gateway.log.wait_for("the configuration was read again", PATIENCE)?;
    Ok(())
}

#[test]
fn a_sandbox_that_is_required_holds_and_the_doctor_and_the_log_say_how_far() -> Result<()> {
    let mut gateway = Gateway::start(None)?;
    gateway.kill()?;
    let sandboxed = |wanted: &str| -> Result<(Value, String)> {
        let text = fs::read_to_string(&gateway.demo.config)?;
        let others = text.split("\n[process]").next().unwrap_or_default();
        fs::write(&gateway.demo.config, format!("{others}\n[process]\nsandbox = \"{wanted}\"\n"))?;
        let _serving = gateway.serve_again().with_context(|| format!("sandbox = {wanted:?}"))?;
        let starts = gateway.act(&gateway.person("auditor")?.id, &["log", "list", "--kind", "gateway.start"])?;
        let last = starts.as_array().and_then(|starts| starts.last()).context("no start is on record")?;
        let said = gateway.command(&["doctor"], Input::Nothing)?.success()?.text();
        Ok((at(last, "/detail/sandbox/landlock").clone(), said))
    };
    let (held, said) = sandboxed("required")?;
    let version = held.as_i64().context("Landlock did not hold a gateway that requires it")?;
    ensure!(version >= 3, "Landlock {version}");
    let line = said.lines().find(|line| line.contains("  sandbox: ")).context("the doctor says nothing of it")?;
    ensure!(line.contains(&format!("Landlock {version}: files, truncation")), "{line}");
    ensure!(said.contains(&format!("held by Landlock {version}")) && said.contains("OK    core dumps"), "{said}");

    let (held, said) = sandboxed("off")?;
    ensure!(held.is_null(), "{held}");
    ensure!(said.contains("WARN  sandbox: no sandbox"), "{said}");
    Ok(())
}

#[test]
fn a_device_is_found_by_its_name() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let address = format!("localhost:{}", hospital.sshd.address.port());
    hospital.gateway.act(&hospital.administrator, &["device", "change", DEVICE, "--address", &address])?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    Ok(())
}

#[test]
fn postgresql_is_reached_through_its_socket() -> Result<()> {
    let postgres = Postgres::start()?;
    let gateway = Gateway::start(Some(&postgres.socket_url))?;
    gateway.act(&gateway.person("administrator")?.id, &["vendor", "list"])?;
    ensure!(fs::read_to_string(&gateway.demo.config)?.contains("host="), "it is not configured");
    Ok(())
}

#[test]
fn the_units_of_the_services_leave_little_open() -> Result<()> {
    ["sekimori.service", "sekimori-witness.service"].iter().try_for_each(|name| leaves_little_open(name))
}

fn leaves_little_open(name: &str) -> Result<()> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/packaging").join(name);
    let mut analyze = Command::new("systemd-analyze");
    // Tenths: an exposure above 2.0 fails.
    analyze.args(["security", "--offline=true", "--no-pager", "--threshold=20"]).arg(&unit);
    let judged = run(&mut analyze, Input::Nothing, PATIENCE)?.success()?.text();
    ensure!(judged.contains(&format!("exposure level for {name}")), "{judged}");
    // systemd's own groups of system calls leave these out: without them the unit would take the sandbox away.
    let text = fs::read_to_string(&unit)?;
    for call in ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"] {
        ensure!(text.lines().any(|line| line.starts_with("SystemCallFilter=") && line.contains(call)), "{call}");
    }
    Ok(())
}
