package fulcio

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextsAreStrictDER(t *testing.T) {
	long := append([]byte{12, 0x82, 4, 1}, strings.Repeat("a", 1025)...)
	for name, test := range map[string]struct {
		der       []byte
		want, err string
	}{
		"a string":                    {der: []byte("\x0c\x03abc"), want: "abc"},
		"a string of several bytes":   {der: []byte("\x0c\x02\xc3\xa9"), want: "é"},
		"nothing":                     {err: "not DER"},
		"raw text":                    {der: []byte("https://github.com"), err: "not DER"},
		"a string cut short":          {der: []byte("\x0c\x04abc"), err: "not DER"},
		"a string with more behind":   {der: []byte("\x0c\x03abcd"), err: "1 more bytes"},
		"two strings":                 {der: []byte("\x0c\x01a\x0c\x01b"), err: "3 more bytes"},
		"an empty string":             {der: []byte("\x0c\x00"), err: "0 bytes"},
		"a printable string":          {der: []byte("\x13\x03abc"), err: "not a UTF8String"},
		"an IA5 string":               {der: []byte("\x16\x03abc"), err: "not a UTF8String"},
		"a T61 string":                {der: []byte("\x14\x03abc"), err: "not a UTF8String"},
		"a BMP string":                {der: []byte("\x1e\x02\x00a"), err: "not a UTF8String"},
		"bytes":                       {der: []byte("\x04\x03abc"), err: "not a UTF8String"},
		"a sequence with a string":    {der: []byte("\x30\x05\x0c\x03abc"), err: "not a UTF8String"},
		"a string in pieces":          {der: []byte("\x2c\x05\x0c\x03abc"), err: "not a UTF8String"},
		"a tagged string":             {der: []byte("\x8c\x03abc"), err: "not a UTF8String"},
		"a length in a long form":     {der: []byte("\x0c\x81\x03abc"), err: "not DER"},
		"a length with zeros":         {der: []byte("\x0c\x82\x00\x03abc"), err: "not DER"},
		"a length that is not given":  {der: []byte("\x0c\x80abc\x00\x00"), err: "not DER"},
		"bytes that are not UTF-8":    {der: []byte("\x0c\x02a\xff"), err: "not UTF-8"},
		"a string that is too long":   {der: long, err: "1025 bytes"},
		"a length of four gibibytes":  {der: []byte("\x0c\x84\xff\xff\xff\xffabc"), err: "not DER"},
		"a tag with a number in five": {der: []byte("\x1f\x8c\x80\x80\x80\x00\x03abc"), err: "not DER"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseText(test.der)
			if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q, %v; want %q, %q", got, err, test.want, test.err)
			}
		})
	}
}

// certificateWith is a certificate that nobody has parsed or signed.
func certificateWith(extensions ...pkix.Extension) *x509.Certificate {
	return &x509.Certificate{Extensions: extensions}
}

func TestAnExtensionThatIsThereTwiceIsRefused(t *testing.T) {
	one := pkix.Extension{Id: extensionOf(14), Value: []byte("\x0c\x01a")}
	if text, err := optionalText(certificateWith(one, one), 14); err == nil {
		t.Errorf("it is %q", text)
	}
	if text, err := optionalText(certificateWith(one), 14); err != nil || text != "a" {
		t.Errorf("%q, %v", text, err)
	}
}

// FuzzText: what is accepted is the only DER encoding of the text.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"\x0c\x03abc", "\x13\x03abc", "\x0c\x81\x03abc", "\x0c\x00", "https://github.com", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		text, err := parseText(der)
		if err != nil {
			return
		}
		again, err := asn1.MarshalWithParams(text, "utf8")
		if err != nil || string(again) != string(der) || text == "" || !utf8.ValidString(text) {
			t.Errorf("%x is %q, whose encoding is %x (%v)", der, text, again, err)
		}
	})
}

// FuzzNames: a name that is accepted is the only one, and printable.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{
		"\x30\x0d\x86\x0bhttps://h/o", "\x30\x03\x81\x01a", "\x30\x06\x86\x01a\x86\x01b", "\x30\x00", "\x31\x03\x86\x01a", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		leaf := certificateWith(pkix.Extension{Id: subjectAltName(), Value: der})
		uri, err := onlyName(leaf, tagURI)
		if err != nil {
			return
		}
		want, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: tagURI, Bytes: []byte(uri)}})
		if err != nil || string(want) != string(der) || strings.ContainsAny(uri, "\n \x00\x7f") {
			t.Errorf("%x is %q", der, uri)
		}
	})
}
