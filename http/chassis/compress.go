package chassis

import (
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
)

// compress answers in zstd or gzip, whichever the client prefers, from
// Config.CompressMinBytes on. A flush passes what is there, so streams keep
// their pace; event streams and Parquet stay as they are.
func (s *Server) compress(next http.Handler) (http.Handler, error) {
	wrap, err := gzhttp.NewWrapper(
		gzhttp.MinSize(s.config.CompressMinBytes),
		gzhttp.ContentTypeFilter(compressible),
		gzhttp.SetContentType(false),
	)
	if err != nil {
		return nil, err
	}
	coded := wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") == "" || r.Header.Get("Upgrade") != "" {
			w.Header()["Vary"] = headerVary
			next.ServeHTTP(w, r)
			return
		}
		coded(w, r)
	}), nil
}

// headerVary has no room to append to: an Add copies it.
var headerVary = []string{"Accept-Encoding"}[:1:1]

func compressible(contentType string) bool {
	return gzhttp.DefaultContentTypeFilter(contentType) &&
		!strings.HasPrefix(contentType, MediaEvents) &&
		!strings.Contains(contentType, "parquet")
}
