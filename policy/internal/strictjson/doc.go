// Package strictjson walks through JSON objects member by member. Parsers that must not be fooled use it: with
// encoding/json an object may have a member twice, or in another case, and the last one wins, where other parsers of
// the same bytes see the first.
package strictjson
