package nri

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/countersign/countersign/policy"
)

// ErrUnsupported is wrapped by the error of a registration with an unsupported runtime.
var ErrUnsupported = errors.New("unsupported runtime")

// served are the supported versions of containerd.
const served = "2.2.8, 2.3.4, 2.4 or a later version"

// version is a version of containerd.
type version struct{ major, minor, patch int }

// FoundBy returns how the images of containers are identified with a version of containerd. It is empty for an
// unsupported version.
func FoundBy(version string) policy.FoundBy {
	foundBy, err := identification("containerd", version)
	if err != nil {
		return ""
	}
	return foundBy
}

// Unserved returns why a version of containerd cannot be served, or nil.
func Unserved(version string) error {
	_, err := identification("containerd", version)
	return err
}

// identification returns how the images of a runtime's containers are identified, or why the runtime cannot be served.
func identification(name, reported string) (policy.FoundBy, error) {
	if name != "containerd" {
		return "", fmt.Errorf(
			"%w %q: countersign serves containerd %s (CRI-O verifies signatures itself)", ErrUnsupported, name, served)
	}
	v, ok := parseVersion(reported)
	switch {
	case !ok:
		return "", fmt.Errorf("%w: containerd reports the version %q, which cannot be compared with %s",
			ErrUnsupported, reported, served)
	case v.before(version{2, 2, 0}):
		return "", fmt.Errorf("%w: containerd %s does not let NRI plugins refuse a container reliably: %s is needed",
			ErrUnsupported, reported, served)
	// containerd 2.2.8 and 2.3.4 disabled the restore by default, and 2.4.0 removed it.
	case v.before(version{2, 2, 8}), v.minor == 3 && v.before(version{2, 3, 4}):
		return "", fmt.Errorf("%w: containerd %s restores containers from checkpoint images, which forge what plugins are "+
			"told, and has no setting to disable it: %s is needed", ErrUnsupported, reported, served)
	// containerd 2.4 is the first that reports the image of a container.
	case v.before(version{2, 4, 0}):
		return policy.FoundByLayers, nil
	default:
		return policy.FoundByConfig, nil
	}
}

func parseVersion(reported string) (v version, ok bool) {
	found := regexp.MustCompile(`^v?(\d{1,4})\.(\d{1,4})\.(\d{1,6})`).FindStringSubmatch(reported)
	if found == nil {
		return version{}, false
	}
	v.major, _ = strconv.Atoi(found[1])
	v.minor, _ = strconv.Atoi(found[2])
	v.patch, _ = strconv.Atoi(found[3])
	return v, true
}

func (v version) before(other version) bool {
	if v.major != other.major {
		return v.major < other.major
	}
	if v.minor != other.minor {
		return v.minor < other.minor
	}
	return v.patch < other.patch
}
