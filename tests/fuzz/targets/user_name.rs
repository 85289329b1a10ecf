//! What stands before the `@`.
#![no_main]

#[path = "../../../gateway/src/ssh/user_name.rs"]
mod user_name;

use user_name::UserName;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Some(name) = UserName::parse(text) else { return };
    let parts = [Some(name.person.to_string()), name.device.as_ref().map(ToString::to_string), name.account.clone()];
    assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>().join("+"), text, "read otherwise than it was said");
    if let Some(device) = &name.device {
        assert_eq!(UserName::within(&name.person, device, name.account.as_deref()).as_ref(), Some(&name));
    }
});
