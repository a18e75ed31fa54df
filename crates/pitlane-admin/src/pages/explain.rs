//! Why a path is answered as it is.

use axum::response::Response;
use http::uri::Authority;
use minijinja::context;

use super::shell::Shell;
use crate::api::{self, Inquiry};
use crate::asked::Fields;
use crate::failure::Failure;
use crate::view::told;

pub(super) fn form(shell: Shell<'_>) -> Result<Response, Failure> {
    let asked = context! { path => "", headers => "" };
    let more = context! { asked => asked, problem => (), answer => () };
    shell.page("explain", "Explain", "explain.html", more)
}

pub(super) async fn answer(
    shell: Shell<'_>,
    fields: &Fields,
    host: &Authority,
) -> Result<Response, Failure> {
    let inquiry = Inquiry {
        method: "GET".to_owned(),
        path: fields.get("path").trim().to_owned(),
        headers: Ok(fields.lines("headers"))
            .and_then(|lines| lines.iter().map(|line| field(line)).collect())?,
    };
    let answered = api::explain(shell.shared, &inquiry, host).await;
    let asked = context! { path => fields.get("path"), headers => fields.get("headers") };
    let (answer, failure) = match answered {
        Ok(answer) => (Some(answer), None),
        Err(failure) => (None, Some(failure)),
    };
    let problem = failure.as_ref().map(Failure::message);
    let more = context! { asked => asked, answer => told(answer), problem => problem };
    let mut response = shell.page("explain", "Explain", "explain.html", more)?;
    if let Some(failure) = failure {
        failure.log();
        failure.mark(&mut response);
    }
    Ok(response)
}

/// `name: value`
fn field(line: &str) -> Result<(String, String), Failure> {
    let (name, value) = line.split_once(':').ok_or_else(|| {
        let line = crate::view::shown(line, 60);
        Failure::Invalid(format!(
            "{line} is no header: write it as in accept: text/html"
        ))
    })?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
