//! Components from the text of a core module, for what no compiler makes.

use std::path::PathBuf;

/// The parts of a core module. Each is sound unless a test replaces it.
pub struct Core {
    /// More definitions: globals, tables, functions, types.
    pub more: String,
    pub memory: &'static str,
    /// How strings are encoded: utf8, utf16 or latin1+utf16.
    pub strings: &'static str,
    /// The body of `cabi_realloc`.
    pub realloc: &'static str,
    /// The body of `application`, before it returns its answer.
    pub application: &'static str,
    /// The body of the post-return function.
    pub post_return: &'static str,
    /// More definitions of the component, before the module `$m`, and after its
    /// instance.
    pub before: String,
    pub component: String,
    /// What the module imports, and what it is given for that.
    pub imports: &'static str,
    pub with: &'static str,
    /// The answer: status, headers, body; as it lies in memory.
    pub answer: &'static str,
}

/// Status 200, no header, and the three bytes `ok` at 2048.
const OK: &str = r"\c8\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\08\00\00\03\00\00\00";

impl Default for Core {
    fn default() -> Core {
        Core {
            more: String::new(),
            memory: "2",
            strings: "utf8",
            realloc: "
                (local.set $at (i32.and
                    (i32.add (global.get $next) (i32.sub (local.get 2) (i32.const 1)))
                    (i32.sub (i32.const 0) (local.get 2))))
                (global.set $next (i32.add (local.get $at) (local.get 3)))
                (local.get $at)",
            application: "",
            post_return: "",
            before: String::new(),
            component: String::new(),
            imports: "",
            with: "",
            answer: OK,
        }
    }
}

/// The types of `myweb:handler` that a component begins with.
const TYPES: &str = r#"
  (import "myweb:handler/types@0.1.0" (instance $types
    (type $status0 u16)
    (export "status" (type $status (eq $status0)))
    (type $bytes (list u8))
    (type $header0 (tuple string $bytes))
    (export "header" (type $header (eq $header0)))
    (type $pair (tuple string string))
    (type $pairs (list $pair))
    (type $headers (list $header))
    (type $env0 (record
      (field "method" string) (field "scheme" string) (field "host" string) (field "port" u16)
      (field "script-name" string) (field "path-info" string) (field "query-string" string)
      (field "uri" string) (field "protocol" string) (field "remote-addr" string)
      (field "request-id" string) (field "params" $pairs) (field "headers" $headers)
      (field "body" $bytes)))
    (export "env" (type $env (eq $env0)))
    (type $body0 (variant (case "bytes" $bytes) (case "file" string)))
    (export "body" (type $body (eq $body0)))))
  (alias export $types "status" (type $status))
  (alias export $types "header" (type $header))
  (alias export $types "env" (type $env))
  (alias export $types "body" (type $body))
"#;

/// The function that a component ends with, of the instance `$i`.
const APPLICATION: &str = r#"
  (type $headers (list $header))
  (type $answer (tuple $status $headers $body))
  (func $application (param "env" $env) (result $answer)
    (canon lift (core func $i "application") string-encoding={strings}
      (memory (core memory $i "memory")) (realloc (core func $i "cabi_realloc"))
      (post-return (core func $i "post"))))
  (export "application" (func $application))"#;

/// A component that reads the granted file `big`, whose content goes where a function
/// of this body makes room; in it, function 0 of the table reads the file.
pub fn reads(realloc: &str) -> Core {
    let room = format!(
        r#"(import "myweb:handler/files@0.1.0" (instance $files
    (type $error0 (variant
      (case "not-granted") (case "not-found") (case "too-large") (case "unreadable")))
    (export "error" (type $error (eq $error0)))
    (type $bytes (list u8))
    (type $read (result $bytes (error $error)))
    (export "read" (func (param "path" string) (result $read)))))
  (core module $room
    (type $read (func (param i32 i32 i32)))
    (table (export "table") 1 funcref)
    (memory (export "memory") 1)
    (data (i32.const 16) "big")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc}))
  (core instance $room (instantiate $room))
  (core func $read (canon lower (func $files "read")
    (memory (core memory $room "memory")) (realloc (core func $room "cabi_realloc"))))"#
    );
    Core {
        before: room,
        imports: r#"(import "room" "table" (table 1 funcref))
            (import "files" "read" (func $read (param i32 i32 i32)))"#,
        with: r#"(with "files" (instance (export "read" (func $read))))
            (with "room" (instance $room))"#,
        more: "(elem (i32.const 0) func $read)".to_owned(),
        application: "(call $read (i32.const 16) (i32.const 3) (i32.const 64))",
        ..Core::default()
    }
}

/// A component that makes a resource of its own and drops it: then a function of
/// this body is called.
pub fn drops(destructor: &str) -> Core {
    let resource = format!(
        r#"(core module $end (func (export "end") (param i32) {destructor}))
  (core instance $end (instantiate $end))
  (type $r (resource (rep i32) (dtor (core func $end "end"))))
  (core func $new (canon resource.new $r))
  (core func $drop (canon resource.drop $r))"#
    );
    Core {
        before: resource,
        imports: r#"(import "r" "new" (func $new (param i32) (result i32)))
            (import "r" "drop" (func $drop (param i32)))"#,
        with: r#"(with "r" (instance (export "new" (func $new)) (export "drop" (func $drop))))"#,
        application: "(call $drop (call $new (i32.const 7)))",
        ..Core::default()
    }
}

impl Core {
    /// The component as text.
    fn text(&self) -> String {
        let Core { more, memory, realloc, application, post_return, answer, .. } = self;
        let Core { before, component, imports, with, strings, .. } = self;
        let lifted = APPLICATION.replace("{strings}", strings);
        format!(
            r#"(component {TYPES}
  {before}
  (core module $m
    {imports}
    (memory (export "memory") {memory})
    (global $next (mut i32) (i32.const 65536))
    (data (i32.const 1024) "{answer}")
    (data (i32.const 2048) "ok\n")
    {more}
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32) {realloc})
    (func (export "application") (param i32) (result i32)
      (local $at i32) (local $end i32) (local $found i32)
      {application}
      (i32.const 1024))
    (func (export "post") (param i32) {post_return}))
  (core instance $i (instantiate $m {with}))
  {component}
  {lifted})"#
        )
    }

    /// Another component with this one's memory and parts in a module of its own,
    /// which does what `application` does when an instance starts.
    pub fn beside(&self, component: &[u8]) -> Vec<u8> {
        let Core { more, memory, application, .. } = self;
        let module = wat::parse_str(format!(
            "(module (memory {memory}) {more}
               (func $start (local $at i32) {application}) (start $start))"
        ));
        let module = module.expect("a module");
        let modules = sections(component).filter(|kind| *kind == MODULE).count();
        // One instance, of a module, with no argument.
        let instance = [&[1, 0][..], &length(modules), &[0]].concat();
        let mut both = component.to_vec();
        for (kind, content) in [(MODULE, module), (INSTANCE, instance)] {
            both.extend([&[kind][..], &length(content.len()), &content].concat());
        }
        both
    }

    /// Writes the component to a file of this name.
    pub fn build(&self, name: &str) -> String {
        write(name, &self.bytes())
    }

    /// The component itself.
    pub fn bytes(&self) -> Vec<u8> {
        wat::parse_str(self.text()).expect("a component")
    }
}

/// Kinds of sections (Component Model, Binary.md).
const MODULE: u8 = 1;
const INSTANCE: u8 = 2;

/// The kinds of a component's sections.
fn sections(component: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = &component[8..];
    std::iter::from_fn(move || {
        let (kind, mut after) = rest.split_first()?;
        let mut length = 0;
        for place in 0.. {
            let (byte, next) = after.split_first()?;
            after = next;
            length |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
        rest = after.get(length..)?;
        Some(*kind)
    })
}

/// A number as WebAssembly writes it (LEB128).
pub fn length(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Writes a component's bytes to a file of this name.
pub fn write(name: &str, bytes: &[u8]) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("{name}.wasm"));
    std::fs::write(&path, bytes).expect("a file");
    path.display().to_string()
}

/// A component that does the same, and is another: a section says the number.
pub fn numbered(component: &[u8], number: u64) -> Vec<u8> {
    let section = [&[0, 10, 1, b'n'][..], &number.to_le_bytes()].concat();
    [component, &section].concat()
}

/// A small component that answers `ok`.
pub fn small() -> Vec<u8> {
    Core::default().bytes()
}

/// A directory of components by their names, for `--handlers`.
pub fn handlers(components: impl IntoIterator<Item = (String, Vec<u8>)>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in components {
        std::fs::write(folder.path().join(name + ".wasm"), bytes).expect("a file");
    }
    folder
}
