package convert

import (
	"fmt"
	"strings"
)

// scopeOf returns the scope of a pattern of image names. deep reports whether one asterisk matches slashes. wider
// reports whether the scope has images that the pattern does not match.
func scopeOf(pattern string, deep bool) (scope string, wider bool, err error) {
	if strings.Trim(pattern, "*/") == "" {
		return "", false, fmt.Errorf("pattern %q matches every image, and a scope begins with a host: require it in the "+
			"default of the node's system policy", pattern)
	}
	stem, end := pattern, ""
	for _, known := range []string{"@sha256:*", "@*", ":*", "/**", "/*"} {
		if cut, found := strings.CutSuffix(pattern, known); found {
			stem, end = cut, known
			break
		}
	}
	isDirectory := strings.HasPrefix(end, "/")
	wider = end == "/*" && !deep
	switch host, isWildcard := strings.CutPrefix(stem, "*."); {
	case isWildcard && isDirectory && !deep && !strings.ContainsAny(host, "*?/:"):
		return stem, true, nil // A port is part of the host.
	case strings.HasSuffix(stem, "*"):
		return "", false, fmt.Errorf("pattern %q ends within a name, and a scope is a whole name", pattern)
	case strings.ContainsAny(stem, "*?"):
		return "", false, fmt.Errorf("pattern %q has a wildcard in the middle, and a scope has none", pattern)
	}
	return complete(stem, isDirectory), wider, nil
}

// complete returns a name, or a directory of names, with its host, as in scopes: busybox is docker.io/library/busybox.
func complete(name string, isDirectory bool) string {
	const hub = "docker.io"
	name = strings.TrimPrefix(name, "index."+hub+"/")
	host, path, hasPath := strings.Cut(name, "/")
	hasPath = hasPath || isDirectory
	isHost := strings.ContainsAny(host, ".:") && (hasPath || !strings.Contains(host, ":")) || host == "localhost"
	switch {
	case isHost && host == hub && path != "" && !isDirectory && !strings.Contains(path, "/"):
		return hub + "/library/" + path
	case isHost:
		return name
	case !hasPath:
		return hub + "/library/" + name
	default:
		return hub + "/" + name
	}
}

// scopes converts patterns. If the policy accepts images, a scope must not have more of them than the pattern.
func (c *conversion) scopes(patterns []string, deep, accepts bool) (scopes []string) {
	for _, pattern := range patterns {
		scope, wider, err := scopeOf(pattern, deep)
		switch {
		case err != nil:
			c.refuse("%v", err)
		case wider && accepts:
			c.refuse("pattern %q matches images in one directory only, and scope %q also matches those below it", pattern, scope)
		default:
			if wider {
				c.note("scope %q also matches images below the directory of pattern %q", scope, pattern)
			}
			scopes = append(scopes, scope)
		}
	}
	return scopes
}
