// Package strictjson walks through JSON objects member by member, for parsers of untrusted input: with encoding/json an
// object may have a member twice, or in another case, and the last one counts, while other parsers of the same bytes
// use the first.
package strictjson
