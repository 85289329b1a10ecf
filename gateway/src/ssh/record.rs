//! What a session's channels leave behind in the store: events before and after, and the files that went through.

use crate::gate::Gate;
use crate::session::{End, Session};
use crate::store::ChannelRecord;
use chrono::Utc;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::recording::Tap;
use sekimori_policy::facts::Channel;
use serde_json::{Value, json};

/// Ends a channel's recording; its transfers become events. What cannot be written ends the session.
pub async fn close_tap(gate: &Gate, session: &Session, number: u32, tap: &Tap, reason: Option<&str>) {
    let transfers = match tap.close(reason).await {
        Ok(transfers) => transfers,
        Err(fault) => return session.end(End::RecordingFailed(fault.to_string())),
    };
    for transfer in transfers {
        session.transferred();
        let event = event(session, Kind::SessionTransfer, json!({ "channel": number, "transfer": transfer }));
        if let Err(fault) = gate.store.add_transfer(session.id, &transfer, event).await {
            tracing::error!(session = %session.id, %fault, "cannot record a transfer");
            session.end(End::StoreUnavailable);
        }
    }
}

/// Records that a channel opens: durable before anything is dialled for it.
pub async fn note_channel(gate: &Gate, session: &Session, number: u32, channel: Channel) -> Result<(), String> {
    let detail = json!({ "channel": number, "kind": channel.to_string() });
    let event = event(session, Kind::SessionChannel, detail);
    let record = ChannelRecord { number, channel, opened: event.at, detail: Value::Null };
    gate.store.add_channel(session.id, &record, event).await.map_err(|fault| fault.to_string())
}

/// Records an event after the fact; a database that does not take it ends the session.
pub async fn note(gate: &Gate, session: &Session, kind: Kind, detail: Value) {
    if let Err(fault) = gate.store.record(event(session, kind, detail)).await {
        tracing::error!(session = %session.id, %fault, "cannot record an event");
        session.end(End::StoreUnavailable);
    }
}

fn event(session: &Session, kind: Kind, detail: Value) -> Event {
    let permit = session.permit();
    let person = session.caller.person.id.clone();
    Event {
        person: Some(person.clone()),
        vendor: Some(permit.vendor().clone()),
        device: Some(session.device().clone()),
        work: Some(permit.work().clone()),
        session: Some(session.id),
        sign_in: Some(session.caller.sign_in),
        source: Some(session.caller.source.address()),
        detail,
        ..Event::new(Utc::now(), kind, Actor::person(person))
    }
}
