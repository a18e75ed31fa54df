//! What an operator can say of requests and answers beyond the usual.

use std::sync::Arc;

use http::{Extensions, HeaderName, header, request::Parts};
use pitlane_policy::Profile;

#[cfg(feature = "encodings")]
use super::forms::Encoding;
use super::{
    key::FORWARDED,
    layer::{CacheLayer, Settings},
};

pub(crate) type SwapOf = Arc<dyn Fn() -> String + Send + Sync>;
pub(crate) type PersonalOf = Arc<dyn Fn(&Extensions) -> bool + Send + Sync>;

impl<Form> CacheLayer<Form> {
    /// Keeps entries for each tenant, tagged `tenant:{id}`, never shared between tenants. A
    /// request whose tenant can't be told isn't cached.
    ///
    /// ```
    /// # let caches = pitlane::Caches::builder().build()?;
    /// let layer = pitlane::ApiCacheLayer::new(&caches.get("default")?)
    ///     .tenant(|parts| Some(parts.extensions.get::<Tenant>()?.0.clone()));
    ///
    /// #[derive(Clone)]
    /// struct Tenant(String);   // put there by what looked the host up
    /// # let _ = layer;
    /// # Ok::<(), pitlane::Error>(())
    /// ```
    pub fn tenant(
        mut self,
        tenant: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.settings.tenant = Some(Arc::new(tenant));
        self
    }

    /// A request header that says who somebody is, or what they may do: a request that carries it
    /// is not anonymous, and passes. `Authorization`, `Cookie` and the usual ones of gateways and
    /// proxies (`X-Api-Key`, `X-Auth-Token`, `X-Forwarded-User`, `X-Forwarded-Client-Cert`, …) are
    /// known. In [`Profile::Rfc`] and where entries are each user's own it has no effect.
    pub fn add_credential(mut self, name: HeaderName) -> Self {
        self.settings.credentials.push(name);
        self
    }

    /// Says from a request's own data, after the handler has answered, that the answer is for one
    /// person: it is not stored then.
    ///
    /// It is for what lies outside of this layer and adds a cookie where this layer can't see it. With
    /// tower-sessions, a page that has written into a session is one visitor's:
    ///
    /// ```
    /// # #[derive(Clone)] struct Session;
    /// # impl Session { fn is_modified(&self) -> bool { true } }
    /// # let caches = pitlane::Caches::builder().build()?;
    /// let layer = pitlane::AnonymousCacheLayer::new(&caches.get("default")?)
    ///     .personal(|extensions| extensions.get::<Session>().is_some_and(Session::is_modified));
    /// # let _ = layer;
    /// # Ok::<(), pitlane::Error>(())
    /// ```
    pub fn personal(
        mut self,
        personal: impl Fn(&Extensions) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.personal = Some(Arc::new(personal));
        self
    }

    /// The only parameters of the query that count. All others are hidden from the handler where
    /// an answer may come from the cache, and no part of the key. A name may end in `*`; an empty
    /// list is for routes without parameters.
    ///
    /// Names are compared as they are written: `%70age` is not `page`. A handler that looks at a
    /// URI which a router keeps beside the request's own (axum's `OriginalUri`) sees everything,
    /// and must not use it.
    pub fn query_allow<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let allowed = self.settings.shape.allow.get_or_insert_default();
        allowed.extend(names.into_iter().map(Into::into));
        self
    }

    /// Parameters of the query that don't count, such as `utm_*`. They are hidden from the
    /// handler where an answer may come from the cache, and no part of the key. See
    /// [`query_allow`](Self::query_allow) for how names are compared.
    pub fn query_ignore<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let ignored = &mut self.settings.shape.ignore;
        ignored.extend(names.into_iter().map(Into::into));
        self
    }

    /// Says which requests come through a proxy of one's own, whose `X-Forwarded-Host` and
    /// `X-Forwarded-Proto` are true.
    ///
    /// Without it, these two and their like (`Forwarded`, `X-Forwarded-Prefix`, …) are a part of
    /// every key, so that nobody can plant an answer for another host; but anybody can make
    /// entries that nobody else uses. With it
    ///
    /// - a proxy's word is the host and the scheme that answers are stored under, and that
    ///   invalidations of URLs name; the handler sees both fields as they were understood;
    /// - from anybody else all of these fields are hidden from the handler where an answer may
    ///   come from the cache.
    ///
    /// ```
    /// use std::net::{IpAddr, SocketAddr};
    /// use axum::extract::ConnectInfo;
    /// # let caches = pitlane::Caches::builder().build()?;
    ///
    /// let layer = pitlane::AnonymousCacheLayer::new(&caches.get("default")?)
    ///     .trusted_proxy(|parts| {
    ///         let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    ///         peer.is_some_and(|peer| peer.0.ip() == IpAddr::from([10, 0, 0, 1]))
    ///     });
    /// # let _ = layer;
    /// # Ok::<(), pitlane::Error>(())
    /// ```
    pub fn trusted_proxy(mut self, trust: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.settings.shape.trust = Some(Arc::new(trust));
        self
    }

    /// Keeps compressed forms of what is stored: each made once, in the background, when the first
    /// client that takes one has hit the entry, which gets it as it is. The first named is
    /// preferred where a client likes several as much.
    ///
    /// Text of 1 KiB and more is compressed (HTML, XML, JSON, scripts, styles), unless it is encoded
    /// already, carries a digest of itself or says `no-transform`. Each form has an entity tag of
    /// its own, made from the entry's; the inner service is asked about the entry's alone. Parts are cut
    /// from the uncompressed form. Only memory holds compressed forms, and counts them.
    ///
    /// Compress here or in a layer outside, not in both. Under
    /// [`replace_on_hit`](Self::replace_on_hit) nothing is compressed here. See [`Encoding`] for the
    /// levels.
    #[cfg(feature = "encodings")]
    pub fn encodings(mut self, encodings: impl IntoIterator<Item = Encoding>) -> Self {
        self.settings.encodings = encodings.into_iter().collect();
        self
    }

    /// Hides every request header that is not in the key from the handler while it computes what
    /// may be stored: it sees the host, the fields of [`key_header`](Self::key_header), the
    /// forwarding ones (which are always in the key), what tells who a user is where entries are
    /// each user's own, and what describes a body.
    ///
    /// An answer can then depend on nothing that the cache doesn't know of, whatever the handler
    /// forgets to name in `Vary`. `Accept-Language`, `Accept-Encoding` or an id for tracing have
    /// to be named by `key_header` to be seen.
    pub const fn strip_unkeyed(mut self) -> Self {
        self.settings.strip_unkeyed = true;
        self
    }

    /// Puts something new in the place of `marker` in every answer, from the cache or not: a
    /// nonce of a Content-Security-Policy, say, which would otherwise keep a page from being
    /// stored.
    ///
    /// The handler writes the marker, in headers and in text (HTML, XML, JSON, scripts, styles)
    /// that isn't compressed; `value` is asked once for each answer and marker. Layers that
    /// compress belong outside. Answers under this layer are always whole, and text has no entity
    /// tag, so put it on the routes of such pages alone.
    /// The marker must be something that no visitor can write into a page, or they could have a
    /// script of their own signed.
    ///
    /// ```
    /// # let caches = pitlane::Caches::builder().build()?;
    /// # fn random_nonce() -> String { "bm9uY2U".into() }
    /// let layer = pitlane::AnonymousCacheLayer::new(&caches.get("default")?)
    ///     .replace_on_hit("nonce-placeholder-5f2b9c", random_nonce);
    /// # let _ = layer;
    /// # Ok::<(), pitlane::Error>(())
    /// ```
    pub fn replace_on_hit(
        mut self,
        marker: &str,
        value: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        if !marker.is_empty() {
            self.settings.swaps.push((marker.into(), Arc::new(value)));
        }
        self
    }

    /// Decides and reports, but has every request answered by the handler, which sees it as it
    /// came. `detail=dry-run` in Cache-Status, and the reason of the same name in the counters,
    /// say that an answer would have come from the cache; all else is told as it is.
    ///
    /// It looks into memory alone, and what it stores is never used by a layer that isn't trying.
    pub const fn dry_run(mut self) -> Self {
        self.settings.dry_run = true;
        self
    }
}

impl Settings {
    /// Whether a request header is in the key, or follows from it. What describes a body counts where
    /// there is one.
    pub(super) fn is_keyed(&self, name: &HeaderName, has_body: bool) -> bool {
        let known = self.per_user.is_some() || self.profile == Profile::Rfc;
        match *name {
            header::HOST => true,
            header::CONTENT_TYPE
            | header::CONTENT_ENCODING
            | header::CONTENT_LANGUAGE
            | header::CONTENT_LENGTH
                if has_body =>
            {
                true
            }
            // Whether what they bring is stored is the policy's to say.
            header::AUTHORIZATION => known,
            header::COOKIE => self.per_user.is_some(),
            _ => self.key_headers.contains(name) || FORWARDED.contains(&name.as_str()),
        }
    }
}
