use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, FnArg, Ident, ItemFn, Pat, Result, Type, spanned::Spanned};

use crate::{options::Options, template::Template};

/// The arguments of a function: how they get into a task of its own.
pub(crate) struct Arguments {
    pub(crate) is_method: bool,
    named: Vec<Argument>,
}

struct Argument {
    name: Ident,
    is_borrowed: bool,
}

impl Arguments {
    pub(crate) fn of(function: &ItemFn) -> Result<Self> {
        let mut this = Self {
            is_method: false,
            named: Vec::new(),
        };
        for argument in &function.sig.inputs {
            match argument {
                FnArg::Receiver(receiver) => {
                    if receiver.reference.is_none() || receiver.mutability.is_some() {
                        let message = "a cached method takes `&self`";
                        return Err(Error::new(receiver.span(), message));
                    }
                    this.is_method = true;
                }
                FnArg::Typed(typed) => {
                    let Pat::Ident(pattern) = &*typed.pat else {
                        let message = "a cached function's arguments have plain names";
                        return Err(Error::new(typed.pat.span(), message));
                    };
                    let is_borrowed = match &*typed.ty {
                        Type::Reference(reference) if reference.mutability.is_some() => {
                            let message = "a cached function can't change what it borrows: \
                                           others get its result without running it";
                            return Err(Error::new(typed.ty.span(), message));
                        }
                        Type::ImplTrait(_) => {
                            let message = "`impl Trait` can't be cloned into the task that \
                                           computes: name a type";
                            return Err(Error::new(typed.ty.span(), message));
                        }
                        ty => matches!(ty, Type::Reference(_)),
                    };
                    this.named.push(Argument {
                        name: pattern.ident.clone(),
                        is_borrowed,
                    });
                }
            }
        }
        Ok(this)
    }

    /// Every argument decides what is found, or is said not to.
    pub(crate) fn check(&self, options: &Options) -> Result<()> {
        for template in options
            .tags
            .iter()
            .chain(&options.user)
            .chain([&options.key])
        {
            self.check_template(template)?;
        }
        if let Some(user) = &options.user {
            user.check_single()?;
        }
        for skipped in &options.skip {
            self.check_skipped(skipped, options)?;
        }
        let said = |name: &Ident| {
            keyed_whole(options)
                .chain(&options.skip)
                .any(|one| one == name)
        };
        let in_part = |name: &Ident| keyed(options).any(|one| one == name);
        if let Some(Argument { name, .. }) = self.named.iter().find(|one| !said(&one.name)) {
            let message = if in_part(name) {
                format!(
                    "only a part of `{name}` is in the key: calls that differ in the rest would \
                     share one value. Say `skip({name})` as well if the rest decides nothing"
                )
            } else {
                format!(
                    "`{name}` is not in the key: calls that differ in it would share one value. \
                     Put `{{{name}}}` into `key`, or `skip({name})` if it decides nothing"
                )
            };
            return Err(Error::new(name.span(), message));
        }
        let by_self = keyed(options).chain(&options.skip).any(|one| one == "self");
        if self.is_method && !by_self {
            let message = "`self` is not in the key: values of different ones would share one \
                           entry. Put `{self.field}` into `key`, or `skip(self)` if it decides \
                           nothing";
            return Err(Error::new(options.key.span(), message));
        }
        Ok(())
    }

    fn check_skipped(&self, skipped: &Ident, options: &Options) -> Result<()> {
        let is_self = self.is_method && skipped == "self";
        if !(is_self || self.has(skipped)) {
            let message = format!("there is no argument `{skipped}` to skip");
            return Err(Error::new(skipped.span(), message));
        }
        if keyed_whole(options).any(|name| name == skipped) {
            let message = format!("`{skipped}` is in the key already");
            return Err(Error::new(skipped.span(), message));
        }
        Ok(())
    }

    fn check_template(&self, template: &Template) -> Result<()> {
        for name in template.arguments() {
            let known = self.has(name) || (self.is_method && name == "self");
            if !known {
                let names: Vec<_> = self
                    .named
                    .iter()
                    .map(|one| format!("`{}`", one.name))
                    .collect();
                let message = format!(
                    "there is no argument `{name}`; there are {}",
                    if names.is_empty() {
                        "none".to_owned()
                    } else {
                        names.join(", ")
                    }
                );
                return Err(Error::new(template.span(), message));
            }
        }
        Ok(())
    }

    fn has(&self, name: &Ident) -> bool {
        self.named.iter().any(|one| one.name == *name)
    }

    /// Statements that make every argument the task's own.
    pub(crate) fn own(&self) -> TokenStream {
        let borrowed = self
            .named
            .iter()
            .filter(|one| one.is_borrowed)
            .map(|one| &one.name);
        let this = self
            .is_method
            .then(|| quote!(let __pitlane_self = ::std::clone::Clone::clone(self);));
        quote! {
            #this
            #( let #borrowed = ::std::borrow::ToOwned::to_owned(#borrowed); )*
        }
    }

    /// The arguments as they are handed to the function that computes.
    pub(crate) fn pass(&self) -> TokenStream {
        let passed = self.named.iter().map(|Argument { name, is_borrowed }| {
            if *is_borrowed {
                quote!(::std::borrow::Borrow::borrow(&#name))
            } else {
                quote!(#name)
            }
        });
        quote!(#(#passed),*)
    }
}

/// The arguments that the key names as a whole.
fn keyed_whole(options: &Options) -> impl Iterator<Item = &Ident> {
    let user = options.user.iter().flat_map(Template::whole_arguments);
    options.key.whole_arguments().chain(user)
}

/// The arguments that the key names; a user's own values are under the user.
fn keyed(options: &Options) -> impl Iterator<Item = &Ident> {
    let user = options.user.iter().flat_map(Template::arguments);
    options.key.arguments().chain(user)
}
