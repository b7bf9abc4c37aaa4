//! Texts of requests that guests build, with a bound before them: `wasi:http`
//! takes any length, and keeps it in the server's own memory.

use wasmtime::Result;
use wasmtime::component::{Lift, Linker, LinkerInstance, Resource};
use wasmtime_wasi_http::p2::bindings::http::types as p2;
use wasmtime_wasi_http::p3::bindings::http::types as p3;
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use super::host::{FIELDS, Host};

/// Puts the bound before the functions that are linked.
///
/// # Errors
/// A function is not there as it is named here, which is a mistake in this file.
pub(super) fn bound(linker: &mut Linker<Host>, concurrent: bool) -> Result<()> {
    linker.allow_shadowing(true);
    bound_old(&mut linker.instance("wasi:http/types@0.2.12")?)?;
    if concurrent {
        bound_new(&mut linker.instance("wasi:http/types@0.3.0")?)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

fn bound_old(types: &mut LinkerInstance<'_, Host>) -> Result<()> {
    use p2::HostOutgoingRequest as _;
    let name = |text| format!("[method]outgoing-request.set-{text}");
    before(types, &name("method"), of_method, |http, on, text| http.set_method(on, text))?;
    before(types, &name("authority"), of_text, |http, on, text| http.set_authority(on, text))?;
    before(types, &name("path-with-query"), of_text, |http, on, text| {
        http.set_path_with_query(on, text)
    })
}

fn bound_new(types: &mut LinkerInstance<'_, Host>) -> Result<()> {
    use p3::HostRequest as _;
    let name = |text| format!("[method]request.set-{text}");
    before(types, &name("method"), of_new_method, |http, on, text| http.set_method(on, text))?;
    before(types, &name("authority"), of_text, |http, on, text| http.set_authority(on, text))?;
    before(types, &name("path-with-query"), of_text, |http, on, text| {
        http.set_path_with_query(on, text)
    })
}

/// Sets a text of a request, of one version of `wasi:http`.
type Set<R, T> = fn(&mut WasiHttpCtxView<'_>, Resource<R>, T) -> Result<Result<(), ()>>;

fn before<R: 'static, T: Lift + 'static>(
    types: &mut LinkerInstance<'_, Host>,
    name: &str,
    length: fn(&T) -> usize,
    set: Set<R, T>,
) -> Result<()> {
    types.func_wrap(name, move |mut store, (request, text)| {
        if length(&text) > FIELDS {
            return Ok((Err(()),));
        }
        Ok((set(&mut store.data_mut().http(), request, text)?,))
    })
}

fn of_text(text: &Option<String>) -> usize {
    text.as_ref().map_or(0, String::len)
}

pub(super) fn of_method(method: &p2::Method) -> usize {
    if let p2::Method::Other(name) = method { name.len() } else { 0 }
}

fn of_new_method(method: &p3::Method) -> usize {
    if let p3::Method::Other(name) = method { name.len() } else { 0 }
}
