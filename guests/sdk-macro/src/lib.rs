//! The `#[handler]` attribute. It is re-exported by the `myweb` crate, where it
//! is documented; its errors are tested there, in `tests/compile_fail`.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as TokenStream2;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, Result, ReturnType};

/// Makes a function the component's `application`. See `myweb::handler`.
#[proc_macro_attribute]
pub fn handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = TokenStream2::from(item);
    match expand(arguments.into(), &item) {
        Ok(export) => quote! { #item #export }.into(),
        Err(error) => {
            let error = error.into_compile_error();
            quote! { #item #error }.into()
        }
    }
}

/// What stands behind the function: a check of its type that also runs
/// natively, and the export, which exists only in a component.
fn expand(arguments: TokenStream2, item: &TokenStream2) -> Result<TokenStream2> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "#[handler] takes no arguments"));
    }
    let function: ItemFn = syn::parse2(item.clone()).map_err(|_| {
        Error::new_spanned(item, "#[handler] goes on a function: `fn application(env: Env) -> …`")
    })?;
    check(&function)?;
    let name = &function.sig.ident;
    let answer_span = match &function.sig.output {
        ReturnType::Default => name.span(),
        ReturnType::Type(_, answer) => answer.span(),
    };
    let check = quote_spanned! { answer_span =>
        const _: fn() = || ::myweb::__private::assert_handler(#name);
    };
    Ok(quote! {
        #check

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl ::myweb::__private::Guest for Component {
                fn application(
                    env: ::myweb::__private::WireEnv,
                ) -> ::myweb::__private::WireResponse {
                    ::myweb::__private::answer(env, #name)
                }
            }

            ::myweb::__private::export!(Component with_types_in ::myweb::__private::bindings);
        };
    })
}

/// Refuses, with a hint, what cannot be a handler.
fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if let Some(token) = &signature.asyncness {
        return Err(Error::new_spanned(
            token,
            "a handler is not async: it returns its answer whole",
        ));
    }
    if let Some(token) = &signature.unsafety {
        return Err(Error::new_spanned(token, "a handler cannot be unsafe"));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(&signature.generics, "a handler has no generic parameters"));
    }
    match signature.inputs.first() {
        Some(FnArg::Typed(_)) if signature.inputs.len() == 1 => Ok(()),
        Some(FnArg::Receiver(receiver)) => {
            Err(Error::new_spanned(receiver, "a handler is a free function, not a method"))
        }
        _ => Err(Error::new(
            signature.paren_token.span.join(),
            "a handler takes one argument, the request: `env: Env`",
        )),
    }
}
