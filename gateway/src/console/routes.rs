//! The routes, each once: what serves them, and the list that `routes.txt` is compared with.

use super::{Console, account, guard, sign_in, static_files};
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
    get "/sign-in" => sign_in::form,
    post "/sign-in" => sign_in::sign_in,
    post "/sign-out" => sign_in::sign_out,
    post "/language" => account::language,
    get "/account" => account::account,
    post "/account/sign-ins/{id}/end" => account::end_own,
    get "/sign-ins" => account::sign_ins,
    post "/sign-ins/{id}/end" => account::end_others,
}
