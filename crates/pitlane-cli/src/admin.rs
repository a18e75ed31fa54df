//! The admin API of a running node.

use bytes::Bytes;
use http::{Request, header, request};
use http_body_util::Full;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::arguments::Place;
use crate::client::{Base, Client};
use crate::failure::Failure;
use crate::output::Output;
use crate::text;

/// A longer answer is refused, in bytes.
const MOST: usize = 16 << 20;
/// A file with a token is no longer, in bytes.
const LONGEST_TOKEN: u64 = 4096;

/// A node, and the token that it knows us by.
pub(crate) struct Admin {
    base: Base,
    token: SecretString,
    client: Client,
}

#[derive(Deserialize)]
struct Trouble {
    error: Told,
}

#[derive(Deserialize)]
struct Told {
    message: String,
}

impl Admin {
    pub(crate) fn open(place: &Place, output: &Output) -> Result<Self, Failure> {
        let (Some(url), Some(file)) = (&place.admin, &place.token_file) else {
            return Err(Failure::usage(
                "this is asked of a running node: say --admin URL and --token-file FILE",
            ));
        };
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::usage(format!(
                "can't read the token in {}: {error}",
                file.display()
            ))
        };
        let length = std::fs::metadata(file)
            .map_err(|error| wrong(&error))?
            .len();
        if length > LONGEST_TOKEN {
            return Err(wrong(&"the file is too long for one"));
        }
        let token = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
        let base = Base::parse("--admin", url)?;
        if !base.is_local() {
            output.note("--admin: the token goes over the network as it is; better through ssh -L");
        }
        Ok(Self {
            base,
            token: token.trim().to_owned().into(),
            client: Client::new(),
        })
    }

    /// Asks for a path below the API's own place.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        request: request::Builder,
        body: Full<Bytes>,
    ) -> Result<T, Failure> {
        let path = request
            .uri_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let uri = self.base.join(&path);
        let uri = uri.ok_or_else(|| Failure::usage("--admin is no URL"))?;
        let mut value =
            header::HeaderValue::from_str(&format!("Bearer {}", self.token.expose_secret()))
                .map_err(|_| Failure::usage("the file with the token holds something else"))?;
        value.set_sensitive(true);
        let request = request.uri(uri).header(header::AUTHORIZATION, value);
        let request: Request<_> = request
            .body(body)
            .map_err(|_| Failure::usage("this can't be asked"))?;
        let answer = self
            .client
            .send(request, MOST)
            .await
            .map_err(Failure::failed)?;
        if answer.status().is_success() {
            return serde_json::from_slice(answer.body()).map_err(|error| {
                Failure::failed(format!("the node's answer is not understood: {error}"))
            });
        }
        let status = answer.status();
        let said = serde_json::from_slice::<Trouble>(answer.body());
        let said = said.map_or_else(
            |_| String::new(),
            |said| format!(": {}", text::harmless(&said.error.message)),
        );
        Err(Failure::failed(format!("the node answered {status}{said}")))
    }
}
