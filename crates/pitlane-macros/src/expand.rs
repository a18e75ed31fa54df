use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{
    Attribute, Error, GenericArgument, Ident, ItemFn, PathArguments, Result, ReturnType, Type,
    parse2, spanned::Spanned,
};

use crate::{
    arguments::Arguments,
    options::{Lock, Options},
};

pub(crate) fn cached(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(options)?;
    let function: ItemFn = parse2(item)?;
    if function.sig.asyncness.is_none() {
        let message = "`#[cached]` is for async functions";
        return Err(Error::new(function.sig.fn_token.span(), message));
    }
    if let Some(parameter) = function.sig.generics.type_params().next() {
        let message = "a cached function has no type parameters: each type would need a key of \
                       its own";
        return Err(Error::new(parameter.span(), message));
    }
    let arguments = Arguments::of(&function)?;
    arguments.check(&options)?;
    let (value, error) = result_of(&function.sig.output)?;

    let inner_name = format_ident!("__pitlane_compute_{}", function.sig.ident);
    let inner = {
        let mut inner = function.clone();
        inner.sig.ident = inner_name.clone();
        inner.sig.output = parse2(quote!(-> ::std::result::Result<#value, #error>))?;
        inner.vis = syn::Visibility::Inherited;
        inner.attrs.retain(|attribute| !is_outer(attribute));
        quote!(#[doc(hidden)] #inner)
    };
    let ItemFn { vis, sig, .. } = &function;
    let attrs = function
        .attrs
        .iter()
        .filter(|attribute| is_outer(attribute));
    let data = data(
        &options,
        &value,
        &home(&function.sig.ident, arguments.is_method),
    );
    let miss = miss(&options);
    let key = options.key.key()?;
    let (own, pass) = (arguments.own(), arguments.pass());
    let call = if arguments.is_method {
        quote!(__pitlane_self.#inner_name(#pass))
    } else {
        quote!(#inner_name(#pass))
    };
    // A method's helper stands beside it; a function's inside, where nobody else sees it.
    let (beside, inside) = if arguments.is_method {
        (Some(inner), None)
    } else {
        (None, Some(inner))
    };
    Ok(quote! {
        #beside
        #(#attrs)*
        #vis #sig {
            #inside
            let __pitlane_key = #key;
            let __pitlane_data = #data;
            // A hit makes no tags, and nothing of its arguments its own.
            if let ::std::option::Option::Some(__pitlane_value) = __pitlane_data.peek(&__pitlane_key) {
                return ::std::result::Result::Ok(__pitlane_value);
            }
            let __pitlane_data = __pitlane_data #miss;
            #own
            let __pitlane_compute = async move || #call.await;
            __pitlane_data.get_or_compute(&__pitlane_key, __pitlane_compute).await
        }
    })
}

/// What speaks to callers; all else belongs to the body.
fn is_outer(attribute: &Attribute) -> bool {
    ["doc", "must_use", "deprecated"]
        .iter()
        .any(|name| attribute.path().is_ident(name))
}

/// An expression for the name of a function that no other one has; a method's type is part of it.
fn home(name: &Ident, is_method: bool) -> TokenStream {
    let name = name.to_string();
    if is_method {
        quote!(&[::std::any::type_name::<Self>(), #name])
    } else {
        quote!(&[::std::module_path!(), #name])
    }
}

/// An expression for how values are cached, as far as a hit needs to know.
fn data(options: &Options, value: &Type, home: &TokenStream) -> TokenStream {
    let Options {
        caches,
        cache,
        user,
        durations,
        negative,
        version,
        codec,
        ..
    } = options;
    let user = user.iter().map(|user| user.string());
    let (setters, millis): (Vec<Ident>, Vec<u64>) = durations.iter().cloned().unzip();
    let negative = negative.iter();
    let (version, codec) = (version.iter(), codec.iter());
    quote! {
        ::pitlane::Caches::get(#caches, #cache)
            .map_err(::pitlane::data::DataError::configuration)?
            .data::<#value>()
            #( .#setters(::std::time::Duration::from_millis(#millis)) )*
            #( .negative(
                ::std::option::Option::is_none,
                ::std::time::Duration::from_millis(#negative),
            ) )*
            #( .version(#version) )*
            #( .user(#user) )*
            #( .codec(#codec) )*
            .home(#home)
    }
}

/// What is said beside that before a value is computed.
fn miss(options: &Options) -> TokenStream {
    let tags = options.tags.iter().map(|tag| tag.string());
    let lock = options.lock.as_ref().map(locked);
    quote! {
        .tags(::std::vec::Vec::<::std::string::String>::from([ #(#tags),* ]))
        #lock
    }
}

/// The call that leaves a computation to one of all servers: it comes last.
fn locked(lock: &Lock) -> TokenStream {
    let late = &lock.late;
    let (setters, millis): (Vec<Ident>, Vec<u64>) = lock.durations.iter().cloned().unzip();
    quote! {
        .lock(
            ::pitlane::lock::Locking::#late()
                #( .#setters(::std::time::Duration::from_millis(#millis)) )*
        )
    }
}

/// `T` and `E` of `Result<T, DataError<E>>`.
fn result_of(output: &ReturnType) -> Result<(Type, Type)> {
    let wrong = || {
        let message = "a cached function returns `Result<T, DataError<E>>`; its body returns \
                       `Result<T, E>`";
        Error::new(output.span(), message)
    };
    let ReturnType::Type(_, ty) = output else {
        return Err(wrong());
    };
    let mut result = arguments_of(ty, "Result").ok_or_else(wrong)?.into_iter();
    let (Some(value), Some(error), None) = (result.next(), result.next(), result.next()) else {
        return Err(wrong());
    };
    let error = arguments_of(&error, "DataError").ok_or_else(wrong)?;
    let error = error.into_iter().next().ok_or_else(wrong)?;
    Ok((value, error))
}

/// The type arguments of a path that ends in `name`.
fn arguments_of(ty: &Type, name: &str) -> Option<Vec<Type>> {
    let Type::Path(path) = ty else { return None };
    let last = path
        .path
        .segments
        .last()
        .filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    });
    Some(types.collect())
}
