# cmake --install: the program, the plug-in header, a CMake package that offers assay::kernel_api,
# shell completions. A plug-in author needs nothing else.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS assay RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

if(TARGET assay_kernel_api)
  install(FILES gpu/api/assay_kernel.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/assay)
  set_target_properties(assay_kernel_api PROPERTIES EXPORT_NAME kernel_api)
  install(TARGETS assay_kernel_api EXPORT assay_targets)
  install(EXPORT assay_targets NAMESPACE assay:: FILE assayTargets.cmake
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/assay)
  configure_package_config_file(tools/cmake/assayConfig.cmake.in ${CMAKE_BINARY_DIR}/assayConfig.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/assay)
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/assayConfigVersion.cmake
    VERSION ${PROJECT_VERSION} COMPATIBILITY SameMajorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/assayConfig.cmake ${CMAKE_BINARY_DIR}/assayConfigVersion.cmake
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/assay)
endif()

install(FILES properties/workers/assay_worker.py DESTINATION ${CMAKE_INSTALL_DATADIR}/assay)
install(FILES tools/completion/assay.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME assay)
install(FILES tools/completion/_assay DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
