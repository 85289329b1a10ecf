//! The routes, each once: what serves them, and the list that `routes.txt` is compared with.

use super::{
    Console, account, acts, calendar, credentials, device_forms, devices, evidence, guard, host_keys, invite, join,
    lists, locks, mails, my_devices, passkeys, people, person_forms, request, sessions, sign_in, ssh_keys,
    static_files, system, terminal, vendors, wall, watch, works,
};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use std::sync::Arc;

#[cfg(test)]
macro_rules! method {
    (get) => {
        "GET"
    };
    (post) => {
        "POST"
    };
}

macro_rules! routes {
    ($($method:ident $path:literal => $handler:path,)*) => {
        /// Every route that is served, for the test that compares.
        #[cfg(test)]
        pub const ALL: &[(&str, &str)] = &[$((method!($method), $path)),*];

        /// All of them behind the guard.
        pub fn router(console: &Arc<Console>) -> Router {
            Router::new()
                $(.route($path, $method($handler)))*
                .fallback(super::fault::not_found)
                .layer(from_fn_with_state(console.clone(), guard::guard))
        }
    };
}

routes! {
    get "/" => account::home,
    get "/style.css" => static_files::style,
    get "/lines.js" => static_files::lines,
    get "/wall.js" => static_files::wall,
    get "/watch.js" => static_files::watch,
    get "/xterm.js" => static_files::xterm,
    get "/xterm.css" => static_files::xterm_style,
    get "/sign-in" => sign_in::form,
    post "/sign-in" => sign_in::sign_in,
    post "/sign-out" => sign_in::sign_out,
    post "/language" => account::language,
    get "/account" => account::account,
    post "/account/sign-ins/{id}/end" => account::end_own,
    get "/passkey.js" => static_files::passkey,
    post "/sign-in/passkey" => passkeys::sign_in,
    post "/sign-in/passkey/challenge" => passkeys::challenge_to_sign_in,
    post "/account/passkeys" => passkeys::add,
    post "/account/passkeys/challenge" => passkeys::challenge_to_add,
    post "/account/passkeys/again" => passkeys::challenge_again,
    post "/account/passkeys/{id}/remove" => passkeys::remove,
    post "/account/ssh-keys" => ssh_keys::add,
    post "/account/ssh-keys/remove" => ssh_keys::remove,
    get "/sign-ins" => account::sign_ins,
    post "/sign-ins/{id}/end" => account::end_others,
    get "/join" => join::page,
    post "/join" => join::enrol,
    get "/join.js" => static_files::join,
    post "/join/password" => join::password,
    get "/join/{id}" => join::open,
    get "/people/{id}/invite" => invite::page,
    post "/people/{id}/invite" => invite::invite,
    get "/my-devices" => my_devices::my_devices,
    get "/terminal/{id}/{account}" => terminal::page,
    post "/terminal/{id}/{account}" => terminal::open,
    get "/terminal/{id}/{account}/line" => terminal::line,
    get "/terminal.js" => static_files::terminal,
    get "/attestation" => my_devices::attestation,
    post "/attestation" => my_devices::attest,
    get "/evidence/{id}" => evidence::take,
    get "/request" => request::form,
    post "/request" => request::send,
    get "/calendar" => calendar::calendar,
    get "/works" => works::list,
    get "/inbox" => works::inbox,
    get "/reviews" => works::reviews,
    get "/works/{id}" => works::show,
    post "/works/{id}/approve" => acts::approve,
    post "/works/{id}/reject" => acts::reject,
    post "/works/{id}/approve-after" => acts::approve_after,
    post "/works/{id}/reject-after" => acts::reject_after,
    post "/works/{id}/emergency" => acts::emergency,
    post "/works/{id}/extend" => acts::extend,
    post "/works/{id}/cut-off" => acts::cut_off,
    post "/works/{id}/withdraw" => acts::withdraw,
    post "/works/{id}/report" => acts::report,
    post "/works/{id}/confirm" => acts::confirm,
    post "/works/{id}/send-back" => acts::send_back,
    get "/live" => wall::live,
    get "/live/stream" => wall::stream,
    post "/live/cut-everyone" => sessions::cut_everyone,
    get "/sessions" => sessions::sessions,
    get "/sessions/{id}/live" => watch::page,
    get "/sessions/{id}/live/stream" => watch::stream,
    post "/sessions/{id}/cut" => sessions::cut,
    post "/sessions/{id}/message" => sessions::message,
    post "/sessions/{id}/pause" => sessions::pause,
    post "/sessions/{id}/resume" => sessions::resume,
    get "/locks" => locks::locks,
    post "/locks" => locks::set,
    post "/locks/{id}/lift" => locks::lift,
    get "/system" => system::system,
    get "/mails" => mails::mails,
    get "/people" => lists::people,
    get "/people/_new" => person_forms::new,
    post "/people/_new" => person_forms::add,
    get "/people/{id}" => people::show,
    get "/people/{id}/change" => person_forms::edit,
    post "/people/{id}/change" => person_forms::change,
    post "/people/{id}/switch" => people::switch,
    post "/people/{id}/reset-factors" => people::reset_factors,
    post "/people/{id}/remove-key" => ssh_keys::remove_others,
    post "/people/{id}/unlock" => people::unlock,
    post "/people/{id}/end-sign-in" => people::end_sign_in,
    get "/vendors" => lists::vendors,
    get "/vendors/_new" => vendors::new,
    post "/vendors/_new" => vendors::add,
    get "/vendors/{id}" => vendors::show,
    get "/vendors/{id}/change" => vendors::edit,
    post "/vendors/{id}/change" => vendors::change,
    post "/vendors/{id}/switch" => vendors::switch,
    get "/devices" => lists::devices,
    get "/devices/_new" => device_forms::new,
    post "/devices/_new" => device_forms::add,
    get "/devices/{id}" => devices::show,
    get "/devices/{id}/change" => device_forms::edit,
    post "/devices/{id}/change" => device_forms::change,
    post "/devices/{id}/switch" => devices::switch,
    get "/devices/{id}/host-keys" => host_keys::show,
    post "/devices/{id}/scan" => host_keys::scan,
    post "/devices/{id}/pin" => host_keys::pin,
    post "/devices/{id}/unpin" => host_keys::unpin,
    get "/devices/{id}/credential" => credentials::form,
    post "/devices/{id}/credential" => credentials::store,
    post "/devices/{id}/remove-credential" => credentials::remove,
}
