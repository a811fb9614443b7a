package router

import (
	"context"
	"fmt"

	"github.com/marketprism/marketprism/persistence"
)

var _ persistence.Copying = (*Engine)(nil)

type (
	// copyingHot is a hot engine that keeps its files itself.
	copyingHot interface {
		CopyOffer() (persistence.Offer, error)
		OpenCopy(name string) (persistence.CopyContent, int64, error)
		LacksCopy(o *persistence.Offer, shard int) ([]persistence.CopyFile, error)
		TakeCopy(ctx context.Context, to persistence.Position, files []persistence.CopyFile, at func(persistence.CopyFile) string) error
	}
	// copyingCold is the same of a cold store.
	copyingCold interface {
		CopyOffer() (files, damaged []persistence.CopyFile, archived []persistence.ArchivedTo, shared string, err error)
		OpenCopy(ctx context.Context, name string) (persistence.CopyContent, int64, error)
		LacksCopy(o *persistence.Offer, shard int) ([]persistence.CopyFile, error)
		TakeCopy(ctx context.Context, o *persistence.Offer, shard int, files []persistence.CopyFile, at func(persistence.CopyFile) string) error
	}
)

// copying are both, where they keep files.
func (e *Engine) copying() (copyingHot, copyingCold, error) {
	hot, ok := e.Engine.(copyingHot)
	older, also := e.cold.(copyingCold)
	if !ok || !also {
		return nil, nil, fmt.Errorf("%w: this store does not keep its files itself", persistence.ErrNoCopy)
	}
	return hot, older, nil
}

// Offer implements [persistence.Copying]. The hot store is listed first: what is archived
// meanwhile is in both.
func (e *Engine) Offer(context.Context) (persistence.Offer, error) {
	hot, older, err := e.copying()
	if err != nil {
		return persistence.Offer{}, err
	}
	o, err := hot.CopyOffer()
	if err != nil {
		return o, err
	}
	files, damaged, archived, shared, err := older.CopyOffer()
	o.Files, o.Damaged, o.Archived, o.Shared = append(o.Files, files...), append(o.Damaged, damaged...), archived, shared
	return o, err
}

// OpenCopy implements [persistence.Copying].
func (e *Engine) OpenCopy(ctx context.Context, tier, name string) (persistence.CopyContent, int64, error) {
	hot, older, err := e.copying()
	switch {
	case err != nil:
		return nil, 0, err
	case tier == persistence.CopyHot:
		return hot.OpenCopy(name)
	}
	return older.OpenCopy(ctx, name)
}

// Lacking implements [persistence.Copying].
func (e *Engine) Lacking(o *persistence.Offer, shard int, tier string) ([]persistence.CopyFile, error) {
	hot, older, err := e.copying()
	switch {
	case err != nil:
		return nil, err
	case tier == persistence.CopyHot:
		return hot.LacksCopy(o, shard)
	}
	return older.LacksCopy(o, shard)
}

// Take implements [persistence.Copying].
func (e *Engine) Take(ctx context.Context, o *persistence.Offer, shard int, tier string, files []persistence.CopyFile, at func(persistence.CopyFile) string) error {
	hot, older, err := e.copying()
	if err != nil {
		return err
	}
	if tier == persistence.CopyCold {
		return older.TakeCopy(ctx, o, shard, files, at)
	}
	to, ok := o.Position(shard)
	if !ok {
		return fmt.Errorf("%w: %s offers nothing of shard %d", persistence.ErrNoCopy, o.Reader, shard)
	}
	return hot.TakeCopy(ctx, to, files, at)
}
