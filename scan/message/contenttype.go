package message

import (
	"mime"
	"strings"
)

// maxBoundary is more than RFC 2046 allows (70).
const maxBoundary = 200

// ContentType returns the media type of a Content-Type field in lower case
// ("text/plain" where none is given) and the boundary of a multipart, "" where it
// has none or one that is far longer than RFC 2046 section 5.1.1 allows. What
// does not keep to RFC 2045 is read as far as it can be.
func ContentType(v string) (mediaType, boundary string) {
	t, params, err := mime.ParseMediaType(v)
	if err == nil {
		boundary = params["boundary"]
	} else {
		t, v, _ = strings.Cut(v, ";")
		t = strings.ToLower(strings.TrimSpace(t))
		boundary = looseBoundary(v)
	}
	if t == "" {
		t = "text/plain"
	}
	if len(boundary) > maxBoundary {
		boundary = ""
	}
	return t, strings.TrimRight(boundary, " \t")
}

// looseBoundary finds the boundary among parameters that cannot be parsed.
func looseBoundary(params string) string {
	const name = "boundary="
	for i := 0; i+len(name) <= len(params); i++ {
		// Not looked for in a lower case copy: that may be longer or shorter.
		if !strings.EqualFold(params[i:i+len(name)], name) {
			continue
		}
		v := params[i+len(name):]
		if strings.HasPrefix(v, `"`) {
			v, _, _ = strings.Cut(v[1:], `"`)
			return v
		}
		v, _, _ = strings.Cut(v, ";")
		return strings.TrimSpace(v)
	}
	return ""
}
