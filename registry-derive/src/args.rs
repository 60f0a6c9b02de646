//! The arguments of the macros: tokens to words and values. `model` decides their meaning.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Ident, Lit, LitStr, Path, Token, TypePath, Visibility};

use crate::mistakes::Mistakes;
use crate::recovery::{each_until, skip_until};
use crate::{backend, words};

/// The arguments of `#[bind(..)]`, and of `bind_tables!(..; ..)` before its semicolon.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) db: Option<WordValue<LitStr>>,
    pub(crate) bind: Option<TypePath>,
    pub(crate) table: Option<Ident>,
    pub(crate) backend: Option<WordValue<Ident>>,
    pub(crate) connection: Option<WordValue<TypePath>>,
    pub(crate) krate: Option<WordValue<Path>>,
}

/// `word = value`.
pub(crate) struct WordValue<T> {
    pub(crate) word: Ident,
    pub(crate) value: T,
}

/// The input of `bind_tables!` and `bind_foreign!`: the arguments before the semicolon, and the tables after it.
pub(crate) struct Tables {
    pub(crate) args: Args,
    pub(crate) tables: Vec<Path>,
}

/// The declarations of `binds!`.
pub(crate) struct Declarations {
    pub(crate) krate: Option<Path>,
    pub(crate) declarations: Vec<Declaration>,
}

/// `pub Analytics: Postgres = "analytics";`
pub(crate) struct Declaration {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) name: Ident,
    pub(crate) connection: Option<TypePath>,
    pub(crate) key: LitStr,
}

/// The macro of the arguments. `table` is allowed only in `#[bind]`.
#[derive(Clone, Copy, PartialEq)]
enum MacroKind {
    Bind,
    BindTables,
}

impl MacroKind {
    fn known_words(self) -> &'static [&'static str] {
        match self {
            Self::Bind => &["db", "backend", "connection", "table", "crate"],
            Self::BindTables => &["db", "backend", "connection", "crate"],
        }
    }
}

/// Reads all of `tokens` with one of the functions below. They note mistakes and continue.
pub(crate) fn read<T>(
    tokens: TokenStream,
    reader: fn(ParseStream<'_>, &mut Mistakes) -> T,
    mistakes: &mut Mistakes,
) -> Option<T> {
    let result = (|input: ParseStream<'_>| Ok(reader(input, mistakes))).parse2(tokens);
    mistakes.note(result)
}

/// Reads the arguments of `#[bind(..)]`.
pub(crate) fn bind_arguments(input: ParseStream<'_>, mistakes: &mut Mistakes) -> Args {
    let args = arguments(input, MacroKind::Bind, mistakes);
    if input.peek(Token![;]) {
        mistakes.add(input.error("arguments are separated by commas"));
        skip_until(input, |_| false);
    }
    args
}

/// Reads all of `bind_tables!(..)`.
pub(crate) fn bind_tables_input(input: ParseStream<'_>, mistakes: &mut Mistakes) -> Tables {
    let form = "`bind_tables!(db = \"analytics\"; schema::events, schema::clicks)`";
    tables_input(input, form, mistakes)
}

/// Reads all of `bind_foreign!(..)`.
pub(crate) fn bind_foreign_input(input: ParseStream<'_>, mistakes: &mut Mistakes) -> Tables {
    let form = "`bind_foreign!(db = \"analytics\"; other_crate::schema::events)`";
    let tables = tables_input(input, form, mistakes);
    let mut seen = Vec::new();
    for table in &tables.tables {
        let text = table.to_token_stream().to_string();
        if seen.contains(&text) {
            mistakes.add_at(table, "this table is named twice");
        }
        seen.push(text);
    }
    tables
}

/// Reads arguments, a semicolon and tables. `form` is an example of the macro.
fn tables_input(input: ParseStream<'_>, form: &str, mistakes: &mut Mistakes) -> Tables {
    let start = input.span();
    let mut args = arguments(input, MacroKind::BindTables, mistakes);
    let semicolon = input.span();
    if input.parse::<Token![;]>().is_err() {
        // Tables were read as arguments, so mistakes in the arguments do not count.
        args = Args::default();
        *mistakes = Mistakes::default();
        let message = format!("a bind, a semicolon and tables are expected: {form}");
        mistakes.add(syn::Error::new(start, message));
    } else if input.is_empty() && mistakes.is_empty() {
        let message = format!("no tables after the semicolon: {form}");
        mistakes.add(syn::Error::new(semicolon, message));
    }

    let mut tables = Vec::new();
    each_until(
        input,
        |_| false,
        |input| match table(input) {
            Ok(table) => {
                tables.push(table);
                if input.peek(Token![;]) {
                    let message = "a second semicolon: tables are separated by commas";
                    mistakes.add(input.error(message));
                    skip_separator(input);
                } else {
                    expect_comma(input, mistakes);
                }
            }
            Err(mistake) => {
                mistakes.add(mistake);
                skip_until(input, at_separator);
                skip_separator(input);
            }
        },
    );
    Tables { args, tables }
}

/// Reads the path of one table, up to the separator.
fn table(input: ParseStream<'_>) -> syn::Result<Path> {
    if input.peek(Ident::peek_any) && input.peek2(Token![=]) {
        let word = input.call(Ident::parse_any)?;
        let message = format!(
            "`{word} = ..` among the tables: arguments come before the semicolon, separated by commas"
        );
        return Err(syn::Error::new_spanned(word, message));
    }
    input.call(Path::parse_mod_style).map_err(|mistake| {
        let message = "expected the path of a table, such as `schema::events`";
        syn::Error::new(mistake.span(), message)
    })
}

/// Reads all of `binds! { .. }`.
pub(crate) fn binds_input(input: ParseStream<'_>, mistakes: &mut Mistakes) -> Declarations {
    let mut krate = None;
    if input.peek(Token![crate]) && input.peek2(Token![=]) {
        match crate_line(input) {
            Ok(path) => krate = Some(path),
            Err(mistake) => {
                mistakes.add(mistake);
                skip_declaration(input);
            }
        }
    }
    let mut declarations = Vec::new();
    each_until(
        input,
        |_| false,
        |input| match input.parse() {
            Ok(declaration) => declarations.push(declaration),
            Err(mistake) => {
                mistakes.add(mistake);
                skip_declaration(input);
            }
        },
    );
    Declarations { krate, declarations }
}

/// Skips the rest of a declaration, and its semicolon.
fn skip_declaration(input: ParseStream<'_>) {
    skip_until(input, |input| input.peek(Token![;]));
    skip_separator(input);
}

fn crate_line(input: ParseStream<'_>) -> syn::Result<Path> {
    input.parse::<Token![crate]>()?;
    input.parse::<Token![=]>()?;
    let path = input.call(Path::parse_mod_style)?;
    input.parse::<Token![;]>()?;
    Ok(path)
}

impl Parse for Declaration {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let name = input.parse()?;
        let mut connection = None;
        if input.peek(Token![:]) {
            input.parse::<Token![:]>()?;
            connection = Some(input.parse()?);
        }
        if !input.peek(Token![=]) {
            return Err(input.error("expected `= \"key\"`, or a colon and a backend before it"));
        }
        input.parse::<Token![=]>()?;
        let key = key_literal(input)?;
        input.parse::<Token![;]>()?;
        Ok(Self { attrs, vis, name, connection, key })
    }
}

fn arguments(input: ParseStream<'_>, kind: MacroKind, mistakes: &mut Mistakes) -> Args {
    let mut args = Args::default();
    each_until(
        input,
        |input| input.peek(Token![;]),
        |input| {
            if let Err(mistake) = args.read_one(input, kind) {
                mistakes.add(mistake);
                skip_until(input, at_separator);
            }
            if !input.peek(Token![;]) {
                expect_comma(input, mistakes);
            }
        },
    );
    args
}

impl Args {
    fn read_one(&mut self, input: ParseStream<'_>, kind: MacroKind) -> syn::Result<()> {
        if input.peek(Lit) {
            let literal: Lit = input.parse()?;
            let message = match &literal {
                Lit::Str(key) => format!("a bind key needs its word: `db = {:?}`", key.value()),
                _ => format!("expected an argument: {}", words::list(kind.known_words())),
            };
            return Err(syn::Error::new_spanned(literal, message));
        }
        if input.peek(Ident::peek_any) && input.peek2(Token![=]) {
            let word = input.call(Ident::parse_any)?;
            let equals = input.parse::<Token![=]>()?;
            if input.is_empty() || input.peek(Token![,]) || input.peek(Token![;]) {
                let message = format!("`{word}` needs a value: {}", example(&word));
                return Err(syn::Error::new_spanned(Adjacent(&word, equals), message));
            }
            return self.read_value(word, input, kind);
        }
        if !input.peek(Ident::peek_any) && !input.peek(Token![::]) && !input.peek(Token![<]) {
            let message = format!("expected an argument: {}", words::list(kind.known_words()));
            return Err(input.error(message));
        }
        self.read_path(input.parse()?, kind)
    }

    /// Reads the value after `word =`.
    fn read_value(
        &mut self,
        word: Ident,
        input: ParseStream<'_>,
        kind: MacroKind,
    ) -> syn::Result<()> {
        match word.to_string().as_str() {
            "db" => {
                let value = key_literal(input)?;
                set_once(&mut self.db, WordValue { word, value })
            }
            "backend" => {
                let value = backend_word(input)?;
                set_once(&mut self.backend, WordValue { word, value })
            }
            "connection" => {
                let value = input.parse()?;
                set_once(&mut self.connection, WordValue { word, value })
            }
            "crate" => {
                let value = input.call(Path::parse_mod_style)?;
                set_once(&mut self.krate, WordValue { word, value })
            }
            "table" if kind == MacroKind::Bind => Err(syn::Error::new_spanned(
                word,
                "`table` takes no value: the table is that of `#[diesel(table_name = ..)]`",
            )),
            _ => Err(unknown_argument(&word, kind)),
        }
    }

    /// Reads an argument that has no value: `table`, or the path of a bind.
    fn read_path(&mut self, path: TypePath, kind: MacroKind) -> syn::Result<()> {
        let word = path.path.get_ident().filter(|_| path.qself.is_none());
        if let Some(word) = word {
            let text = word.to_string();
            if text == "table" && kind == MacroKind::Bind {
                return match self.table.replace(word.clone()) {
                    None => Ok(()),
                    Some(_) => Err(given_twice(word)),
                };
            }
            if text == "table" {
                let message = "`table` is for models: say where the tables are";
                return Err(syn::Error::new_spanned(word, message));
            }
            if kind.known_words().contains(&text.as_str()) {
                let message = format!("`{word}` needs a value: {}", example(word));
                return Err(syn::Error::new_spanned(word, message));
            }
            // Types begin with a capital letter, so a lower-case word is not meant as the path of a bind.
            if text.starts_with(|first: char| first.is_lowercase() || first == '_') {
                let mut mistake = unknown_argument(word, kind).to_string();
                if words::nearest(&text, kind.known_words().iter().copied()).is_none() {
                    mistake.push_str(&format!("; a key would be `db = \"{text}\"`"));
                }
                return Err(syn::Error::new_spanned(word, mistake));
            }
        }
        if self.bind.is_some() {
            let message = "a second bind: a model lives in one database";
            return Err(syn::Error::new_spanned(path, message));
        }
        self.bind = Some(path);
        Ok(())
    }
}

fn set_once<T>(place: &mut Option<WordValue<T>>, valued: WordValue<T>) -> syn::Result<()> {
    if place.is_some() {
        return Err(given_twice(&valued.word));
    }
    *place = Some(valued);
    Ok(())
}

fn given_twice(word: &Ident) -> syn::Error {
    syn::Error::new_spanned(word, format!("`{word}` is given twice"))
}

fn key_literal(input: ParseStream<'_>) -> syn::Result<LitStr> {
    if input.peek(LitStr) {
        return input.parse();
    }
    let other = skip_until(input, at_separator);
    let message = "a bind key is a string, such as \"analytics\"";
    if other.is_empty() {
        return Err(input.error(message));
    }
    Err(syn::Error::new_spanned(other, message))
}

fn backend_word(input: ParseStream<'_>) -> syn::Result<Ident> {
    if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        let message = match backend::guess(&literal.value()) {
            Some(known) => format!("a backend is a word: `backend = {known}`, without quotes"),
            None => backend::unknown_message(&literal.value()),
        };
        return Err(syn::Error::new_spanned(literal, message));
    }
    let path: TypePath = input.parse()?;
    match path.path.get_ident() {
        Some(word) if path.qself.is_none() => backend::check(word.clone()),
        _ => Err(syn::Error::new_spanned(
            path,
            "`backend` is `Postgres`, `Mysql` or `Sqlite`; a path is for `connection = ..`",
        )),
    }
}

fn unknown_argument(word: &Ident, kind: MacroKind) -> syn::Error {
    let text = word.to_string();
    let message = format!(
        "unknown argument `{text}`{} Known are {}, and the path of a bind",
        words::did_you_mean(words::nearest(&text, kind.known_words().iter().copied())),
        words::list(kind.known_words()),
    );
    syn::Error::new_spanned(word, message)
}

fn example(word: &Ident) -> &'static str {
    match word.to_string().as_str() {
        "db" => "`db = \"analytics\"`",
        "backend" => "`backend = Postgres`",
        "connection" => "`connection = path::to::Connection`",
        "crate" => "`crate = path::to::registry_core`",
        _ => "`word = value`",
    }
}

/// Two adjacent tokens, for a span over both.
struct Adjacent<A, B>(A, B);

impl<A: ToTokens, B: ToTokens> ToTokens for Adjacent<A, B> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
        self.1.to_tokens(tokens);
    }
}

fn expect_comma(input: ParseStream<'_>, mistakes: &mut Mistakes) {
    if !input.is_empty() && mistakes.note(input.parse::<Token![,]>()).is_none() {
        skip_until(input, at_separator);
        let _: Option<Token![,]> = input.parse().ok();
    }
}

/// Whether an argument or a table ends here. A group is one token, so separators inside of a group do not count.
fn at_separator(input: ParseStream<'_>) -> bool {
    input.peek(Token![,]) || input.peek(Token![;])
}

/// Takes a comma or a semicolon, if one comes next.
fn skip_separator(input: ParseStream<'_>) {
    if at_separator(input) {
        let _: Option<TokenTree> = input.parse().ok();
    }
}
