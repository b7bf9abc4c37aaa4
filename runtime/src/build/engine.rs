//! The engines that run JavaScript within a component, and what is built with
//! each.

use std::fmt::{self, Display, Formatter};

use super::CONTRACT;

/// What runs JavaScript.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// That of Firefox: fast, and with the web's APIs of its own.
    #[default]
    StarlingMonkey,
    /// A small one: the web's APIs are the adapter's, in JavaScript.
    QuickJs,
}

/// Texts by their names in a folder.
type Texts = &'static [(&'static str, &'static str)];

impl Engine {
    const ALL: [Engine; 2] = [Engine::StarlingMonkey, Engine::QuickJs];

    /// The engine of a name.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn named(name: &str) -> Result<Engine, String> {
        let all = Engine::ALL.map(|engine| engine.to_string()).join(" or ");
        let found = Engine::ALL.into_iter().find(|engine| engine.to_string() == name);
        found.ok_or_else(|| format!("no engine is named {name:?}: write {all}"))
    }

    /// What is installed from npm: the tools, and what the adapter is made of.
    pub(super) fn tools(self) -> &'static [&'static str] {
        match self {
            Engine::StarlingMonkey => {
                &["esbuild@0.28.2", "@bytecodealliance/componentize-js@0.23.0"]
            }
            Engine::QuickJs => &[
                "esbuild@0.28.2",
                "componentize-qjs@0.4.5",
                "@noble/hashes@2.4.0",
                "core-js-pure@3.51.0",
                "promise-polyfill@8.3.0",
                "web-streams-polyfill@4.3.0",
            ],
        }
    }

    /// The adapter's files, by their names in its folder.
    pub(super) fn adapter(self) -> Texts {
        match self {
            Engine::StarlingMonkey => &STARLINGMONKEY,
            Engine::QuickJs => &QUICKJS,
        }
    }

    /// The module that exports what the world has.
    pub(super) fn entry(self) -> &'static str {
        match self {
            Engine::StarlingMonkey => "starlingmonkey/entry.js",
            Engine::QuickJs => "quickjs/entry.js",
        }
    }
}

/// As it is written on the command line.
impl Display for Engine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::StarlingMonkey => "starlingmonkey",
            Engine::QuickJs => "quickjs",
        })
    }
}

macro_rules! adapter {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../guests/javascript/adapter/", $name)))),*]
    };
}

static STARLINGMONKEY: [(&str, &str); 12] = adapter![
    "build.mjs",
    "inside.mjs",
    "app.js",
    "form.js",
    "guard.js",
    "message.js",
    "starlingmonkey/engine.mjs",
    "starlingmonkey/body.js",
    "starlingmonkey/entry.js",
    "starlingmonkey/memory.js",
    "starlingmonkey/request.js",
    "starlingmonkey/response.js"
];

static QUICKJS: [(&str, &str); 26] = adapter![
    "build.mjs",
    "inside.mjs",
    "app.js",
    "form.js",
    "guard.js",
    "message.js",
    "quickjs/engine.mjs",
    "quickjs/answer.js",
    "quickjs/blob.js",
    "quickjs/body.js",
    "quickjs/console.js",
    "quickjs/entry.js",
    "quickjs/events.js",
    "quickjs/fetch.js",
    "quickjs/form.js",
    "quickjs/globals.js",
    "quickjs/headers.js",
    "quickjs/promise.js",
    "quickjs/random.js",
    "quickjs/request.js",
    "quickjs/response.js",
    "quickjs/streams.js",
    "quickjs/subtle.js",
    "quickjs/text.js",
    "quickjs/timers.js",
    "quickjs/url.js"
];

/// The contract of the adapter, with a world for each engine, of its name.
pub(super) static WIT: [(&str, &str); 6] = [
    ("javascript.wit", include_str!("../../../guests/javascript/wit/javascript.wit")),
    ("deps/handler.wit", CONTRACT.1),
    ("deps/cli.wit", include_str!("../../../guests/javascript/wit/deps/cli.wit")),
    ("deps/clocks.wit", include_str!("../../../guests/python/wit/deps/clocks.wit")),
    ("deps/io.wit", include_str!("../../../guests/python/wit/deps/io.wit")),
    ("deps/random.wit", include_str!("../../../guests/javascript/wit/deps/random.wit")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_found_by_its_name() {
        for engine in Engine::ALL {
            assert_eq!(Engine::named(&engine.to_string()), Ok(engine));
        }
        let why = Engine::named("v8").expect_err("there is none");
        assert_eq!(why, "no engine is named \"v8\": write starlingmonkey or quickjs");
    }
}
