//! Continuing to read after a mistake. The loops over the input are here, so that no loop can be endless: each round
//! consumes at least one token.

use proc_macro2::{TokenStream, TokenTree};
use syn::parse::ParseStream;

/// Calls `read` for one item after another, until `is_end` or the end of the input.
///
/// If `read` consumes nothing, one token is dropped, so that every loop ends.
pub(crate) fn each_until(
    input: ParseStream<'_>,
    is_end: fn(ParseStream<'_>) -> bool,
    mut read: impl FnMut(ParseStream<'_>),
) {
    while !input.is_empty() && !is_end(input) {
        let before = input.cursor();
        read(input);
        if input.cursor() == before && input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

/// Skips tokens until `is_end` or the end of the input, and returns them.
pub(crate) fn skip_until(
    input: ParseStream<'_>,
    is_end: fn(ParseStream<'_>) -> bool,
) -> TokenStream {
    std::iter::from_fn(|| if is_end(input) { None } else { input.parse::<TokenTree>().ok() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;
    use syn::Token;
    use syn::parse::Parser;

    #[test]
    fn a_reader_that_takes_nothing_is_called_once_for_each_token() {
        let mut rounds = 0;
        let count = |input: ParseStream<'_>| {
            each_until(input, |_| false, |_| rounds += 1);
            Ok(())
        };
        count.parse2(quote!(a , (b c) ; d)).unwrap();
        assert_eq!(rounds, 5);
    }

    #[test]
    fn skipping_ends_at_the_end_of_the_input() {
        let skip = |input: ParseStream<'_>| {
            let skipped = skip_until(input, |input| input.peek(Token![;]));
            let semicolon = input.peek(Token![;]);
            let rest = skip_until(input, |_| false);
            Ok((skipped.to_string(), semicolon, rest.to_string()))
        };
        let (skipped, semicolon, rest) = skip.parse2(quote!(a, (b; c) ; d)).unwrap();
        assert_eq!(skipped, "a , (b ; c)");
        assert!(semicolon);
        assert_eq!(rest, "; d");
    }
}
