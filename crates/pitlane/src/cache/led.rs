use http::Extensions;
use pitlane_core::Digest;

/// The keys whose answers are being computed around a request. A cache that is stacked twice, on a
/// router and on one of its routes, must not wait for itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Led(Vec<Digest>);

impl Led {
    pub(crate) fn add(extensions: &mut Extensions, key: Digest) {
        let Self(keys) = extensions.get_or_insert_default();
        keys.push(key);
    }

    pub(crate) fn contains(extensions: &Extensions, key: Digest) -> bool {
        let led = extensions.get::<Self>();
        led.is_some_and(|led| led.0.contains(&key))
    }
}
