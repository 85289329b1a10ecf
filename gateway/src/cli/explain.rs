//! `sekimori explain`: the decision about a person and a device, with every reason.

use super::context::Context;
use super::error::CliError;
use super::output;
use chrono::{DateTime, Utc};
use sekimori_policy::authority::Act;
use sekimori_policy::decide::{Decision, Denial, Permit, decide};
use sekimori_policy::facts::{Factors, Language, Method, Source};
use sekimori_policy::id::{DeviceId, PersonId};
use serde_json::json;
use std::net::IpAddr;

/// What is to be explained.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who
    #[arg(long)]
    person: PersonId,
    /// To which device
    #[arg(long)]
    device: DeviceId,
    /// From which address
    #[arg(long, value_name = "ADDRESS")]
    from: IpAddr,
    /// As which account; the device's first if none is named
    #[arg(long)]
    account: Option<String>,
    /// When; now if no time is named
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// With which factors proved
    #[arg(long, value_delimiter = ',', default_value = "password,totp", value_parser = method)]
    factors: Vec<Method>,
}

fn method(text: &str) -> Result<Method, String> {
    match text.replace('-', "_").as_str() {
        "password" => Ok(Method::Password),
        "totp" => Ok(Method::Totp),
        "recovery_code" => Ok(Method::RecoveryCode),
        "ssh_key" => Ok(Method::SshKey),
        "passkey" => Ok(Method::Passkey),
        _ => Err(format!("{text} is no factor: password, totp, recovery_code, ssh_key or passkey")),
    }
}

/// Prints the decision. A denial is exit code 3.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let at = args.at.as_deref().map_or_else(|| Ok(Utc::now()), |text| context.time(text))?;
    let factors = Factors { methods: args.factors.into_iter().collect(), proved_at: at, until: None };
    let demands = context.config.demands.clone();
    let source = Source::from(args.from);
    let account = args.account.as_deref();
    let store = context.store().await?;
    let facts = store.facts(&args.person, Some(&args.device), account, source, factors, demands).await?;
    match decide(&facts, at) {
        Decision::Permit(permit) => permitted(&permit, at, context),
        Decision::Denial(denial) => denied(&denial, at, context),
    }
}

fn permitted(permit: &Permit, at: DateTime<Utc>, context: &Context) -> Result<(), CliError> {
    let channels: Vec<String> = permit.channels().iter().map(ToString::to_string).collect();
    let value = json!({
        "decision": "permit", "at": at, "until": permit.until(), "until_because": permit.until_because().code(),
        "work": permit.work(), "account": permit.account(), "channels": channels,
        "awaiting_retrospective_approval": permit.awaiting_retrospective_approval(), "reasons": [],
    });
    output::one(context, &value, || {
        let limit = permit.until_because();
        [
            format!("許可 / permit  {} → {} ({})", permit.person(), permit.device(), output::visible(permit.account())),
            format!("作業:     {}", permit.work()),
            format!("終了:     {}  {}", context.show(permit.until()), limit.sentence(Language::Ja)),
            format!("          {}", limit.sentence(Language::En)),
            format!("許可:     {}", channels.join(" ")),
        ]
        .join("\n")
    })
}

fn denied(denial: &Denial, at: DateTime<Utc>, context: &Context) -> Result<(), CliError> {
    let reasons: Vec<_> = denial
        .reasons()
        .iter()
        .map(|reason| {
            json!({
                "code": reason.code(), "ja": reason.sentence(Language::Ja), "en": reason.sentence(Language::En),
            })
        })
        .collect();
    output::one(context, &json!({ "decision": "denial", "at": at, "reasons": reasons }), || {
        let mut lines = vec!["拒否 / denial".to_owned()];
        for reason in denial.reasons() {
            lines.push(format!("- [{}] {}", reason.code(), output::visible(&reason.sentence(Language::Ja))));
            lines.push(format!("  {}", output::visible(&reason.sentence(Language::En))));
        }
        lines.join("\n")
    })?;
    Err(CliError::Denied)
}
