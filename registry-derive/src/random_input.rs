//! Random token streams through the three macros: each macro must terminate, and report the mistakes.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::quote;

use crate::{expand_bind, expand_bind_foreign, expand_bind_tables, expand_binds};

/// The number of streams for each form of each macro.
const STREAMS: u64 = 10_000;

/// How long one stream may take before it counts as endless.
const PATIENCE: Duration = Duration::from_secs(20);

/// The words of the grammars.
const WORDS: &[&str] = &[
    "db",
    "backend",
    "connection",
    "table",
    "crate",
    "pub",
    "self",
    "super",
    "as",
    "Postgres",
    "Mysql",
    "Sqlite",
    "Analytics",
    "schema",
    "events",
    "users",
    "r#type",
    "_",
    "diesel",
    "struct",
    "mod",
    "cfg",
];
const TEXTS: &[&str] = &["default", "analytics", "", "Not A Key", "größe"];
const PUNCTS: &[char] =
    &[',', ',', ',', ';', ';', ';', '=', '=', '=', ':', '<', '>', '#', '!', '.', '&', '-', '\''];

/// Random numbers that are the same in each run, by SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn tokens(&mut self, depth: usize) -> TokenStream {
        let len = self.below(12);
        (0..len).flat_map(|_| self.piece(depth)).collect()
    }

    /// A token, or several tokens that often occur together.
    fn piece(&mut self, depth: usize) -> TokenStream {
        match self.below(16) {
            0..=3 => self.word().into(),
            4 | 5 => self.literal().into(),
            6..=10 => self.punct().into(),
            11 => self.parsed(&["db = \"default\"", "db = \"analytics\",", "db ="]),
            12 => self.parsed(&["backend = Sqlite", "backend = Postgres,", "backend = \"Mysql\""]),
            13 => self.parsed(&["schema::events,", "schema::events;", "::a::b", "users"]),
            14 => self.parsed(&[
                "pub Analytics: Postgres = \"analytics\";",
                "Files = \"files\"",
                "crate = a::b;",
                "connection = C<A, B>",
            ]),
            _ if depth > 0 => {
                let delimiter = self.one_of(&[
                    Delimiter::Parenthesis,
                    Delimiter::Bracket,
                    Delimiter::Brace,
                    Delimiter::None,
                ]);
                TokenTree::from(Group::new(delimiter, self.tokens(depth - 1))).into()
            }
            _ => self.punct().into(),
        }
    }

    fn parsed(&mut self, texts: &[&str]) -> TokenStream {
        self.one_of(texts).parse().unwrap()
    }

    fn word(&mut self) -> TokenTree {
        let word = self.one_of(WORDS);
        match word.strip_prefix("r#") {
            Some(raw) => Ident::new_raw(raw, Span::call_site()).into(),
            None => Ident::new(word, Span::call_site()).into(),
        }
    }

    fn literal(&mut self) -> TokenTree {
        match self.below(4) {
            0 => Literal::u32_unsuffixed(7).into(),
            1 => Literal::character('x').into(),
            2 => Literal::byte_string(b"bytes").into(),
            _ => Literal::string(self.one_of(TEXTS)).into(),
        }
    }

    fn punct(&mut self) -> TokenTree {
        let spacing = self.one_of(&[Spacing::Alone, Spacing::Joint]);
        Punct::new(self.one_of(PUNCTS), spacing).into()
    }
}

/// Expands `STREAMS` random streams, and shows the first whose expansion does not terminate or has no answer.
///
/// An answer is Rust: items that parse. Mistakes are in them as errors of the compiler.
fn each_gets_an_answer(expand: fn(TokenStream) -> TokenStream) {
    let (ended, ends) = channel();
    // On a thread of its own, because an endless expansion cannot be stopped. The thread is not joined.
    thread::spawn(move || {
        for seed in 0..STREAMS {
            let answer = expand(Random(seed).tokens(2));
            if ended.send((seed, syn::parse2::<syn::File>(answer).is_ok())).is_err() {
                return;
            }
        }
    });
    for seed in 0..STREAMS {
        let shown = || Random(seed).tokens(2);
        match ends.recv_timeout(PATIENCE) {
            Ok((of, is_rust)) => assert!(of == seed && is_rust, "no answer to: {}", shown()),
            Err(RecvTimeoutError::Timeout) => panic!("no end with: {}", shown()),
            Err(RecvTimeoutError::Disconnected) => panic!("a panic with: {}", shown()),
        }
    }
}

#[test]
fn bind_on_a_model_answers_any_arguments() {
    each_gets_an_answer(|arguments| {
        expand_bind(
            arguments,
            quote!(
                #[diesel(table_name = events)]
                struct Event {
                    id: i64,
                }
            ),
        )
    });
}

#[test]
fn bind_on_a_module_answers_any_arguments() {
    each_gets_an_answer(|arguments| {
        let module = quote! {
            mod schema {
                diesel::table! { events { id -> BigInt, } }
                #[diesel(table_name = events, check_for_backend(Pg))]
                struct Event;
            }
        };
        expand_bind(arguments, module)
    });
}

#[test]
fn bind_answers_any_attributes_and_tables_inside_a_module() {
    each_gets_an_answer(|tokens| {
        let module = quote! {
            mod schema {
                diesel::table! { #tokens }
                #[diesel(#tokens)]
                #[cfg_attr(#tokens)]
                struct Event;
            }
        };
        let answer = expand_bind(quote!(db = "analytics", backend = Sqlite), module);
        // Mistakes in such attributes and tables are reported by Diesel or the compiler, and the output may be invalid
        // Rust.
        assert!(!answer.is_empty());
        TokenStream::new()
    });
}

#[test]
fn bind_answers_any_item() {
    each_gets_an_answer(|item| {
        let is_item = syn::parse2::<syn::Item>(item.clone()).is_ok();
        let answer = expand_bind(quote!(db = "analytics", backend = Sqlite), item);
        assert!(is_item || answer.to_string().contains("compile_error"));
        TokenStream::new()
    });
}

#[test]
fn binds_answers_any_input() {
    each_gets_an_answer(expand_binds);
}

#[test]
fn bind_tables_answers_any_input() {
    each_gets_an_answer(expand_bind_tables);
}

#[test]
fn bind_tables_answers_any_tables() {
    each_gets_an_answer(|tables| {
        expand_bind_tables(quote!(db = "default", backend = Sqlite; users #tables))
    });
}

#[test]
fn a_second_semicolon_is_one_mistake() {
    let answer = expand_bind_tables(quote!(db = "default", backend = Sqlite; users; events));
    let answer = answer.to_string();
    assert_eq!(answer.matches("compile_error").count(), 1, "{answer}");
    assert!(answer.contains("a second semicolon: tables are separated by commas"), "{answer}");
}

#[test]
fn bind_foreign_answers_any_input() {
    each_gets_an_answer(expand_bind_foreign);
}

#[test]
fn bind_foreign_answers_any_tables() {
    each_gets_an_answer(|tables| {
        expand_bind_foreign(quote!(db = "default", backend = Sqlite; users #tables))
    });
}
