/// How much of what the RFCs allow a cache makes use of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// Everything that the RFCs allow a shared cache: heuristic freshness, any final status with
    /// explicit freshness, `Set-Cookie` next to an explicit `public`. For a generic reverse proxy.
    Rfc,
    /// Default deny: 200 only, explicit freshness or the operator's TTL only, nothing that could
    /// carry one visitor's data to another. For an application's own responses.
    #[default]
    Application,
}
