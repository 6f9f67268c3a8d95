package signature

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign/countersign/policy/internal/trustedroot"
)

// Fields of a sigstoreSigned requirement with a trusted root.
const (
	trustedRootPath = "trustedRootPath"
	trustedRootData = "trustedRootData"
	tlogField       = "tlog"
)

// Values of "tlog": whether a log must have recorded a signature, or a timestamp is required instead.
const (
	tlogRequired = "required"
	tlogNone     = "none"
)

// trustedRootOf checks the fields of a requirement with a trusted root, and those that it excludes. It reports whether
// there is one, and the names of the fields.
func trustedRootOf(members []member) (rooted bool, names []string, err error) {
	for _, one := range members {
		if one.name != trustedRootPath && one.name != trustedRootData && one.name != tlogField {
			continue
		}
		if slices.Contains(names, one.name) {
			return false, nil, &offsetError{one.offset, fmt.Errorf("duplicate key %q", one.name)}
		}
		names = append(names, one.name)
		if err := checkRootField(one); err != nil {
			return false, nil, &offsetError{one.offset, fmt.Errorf("%q: %w", one.name, err)}
		}
	}
	hasPath, hasData := slices.Contains(names, trustedRootPath), slices.Contains(names, trustedRootData)
	switch {
	case len(names) == 0:
		return false, nil, nil
	case hasPath && hasData:
		return false, nil, errors.New("it has both trustedRootPath and trustedRootData")
	case !hasPath && !hasData:
		return false, nil, errors.New("tlog needs trustedRootPath or trustedRootData")
	}
	for _, one := range members {
		if one.name == "pki" || strings.HasPrefix(one.name, "rekorPublicKey") {
			return false, nil, &offsetError{one.offset, fmt.Errorf(
				"%q: a trusted root names authorities and logs itself, so that the two exclude each other", one.name)}
		}
	}
	return true, names, nil
}

// checkRootField returns an error if the value of a field cannot be used.
func checkRootField(one member) error {
	if one.value[0] != '"' {
		return fmt.Errorf("it is %s and must be a string", article(kindOfValue(one.value[0])))
	}
	if one.name == trustedRootData {
		var data []byte
		if err := json.Unmarshal(one.value, &data); err != nil {
			return fmt.Errorf("it is not base64: %w", err)
		}
		return nil
	}
	var text string
	if err := json.Unmarshal(one.value, &text); err != nil {
		return err
	}
	switch {
	case text == "":
		return errors.New("it is empty")
	case one.name == tlogField && text != tlogRequired && text != tlogNone:
		return fmt.Errorf("it is %q and must be %q or %q", text, tlogRequired, tlogNone)
	default:
		return nil
	}
}

// checkTrustedRoot returns an error if no signature can meet the requirement because of its trusted root.
func (t *trust) checkTrustedRoot() error {
	parsed, err := trustedroot.Parse(t.TrustedRootData)
	switch {
	case err != nil:
		return fmt.Errorf("reading the trusted root: %w", err)
	case t.Fulcio != nil && !parsed.HasAuthorities():
		return errors.New("the trusted root has no certificate authority, which fulcio needs")
	case t.TLog == tlogNone && !parsed.HasTimestampAuthorities():
		return errors.New("the trusted root has no timestamp authority, which tlog none needs")
	case t.TLog != tlogNone && !parsed.HasLogs():
		return errors.New("the trusted root has no transparency log, and tlog is not none")
	default:
		return nil
	}
}
